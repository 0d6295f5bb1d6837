import getpass

print(input("Name? "), getpass.getpass("Word? "))
