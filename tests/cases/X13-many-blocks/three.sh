printf c
