print(input("Name? "), input("Other? "))
