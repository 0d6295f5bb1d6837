cat | wc -c
read -r line || echo nothing
