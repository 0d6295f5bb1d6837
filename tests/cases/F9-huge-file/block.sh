echo begun
exec head -c 10000000 /dev/zero >big
