# filename: json.py
said = "mine"
