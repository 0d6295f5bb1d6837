print("hello", input("Name? "))
