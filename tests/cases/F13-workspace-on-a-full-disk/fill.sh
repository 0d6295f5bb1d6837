cat /dev/zero >full 2>/dev/null
echo full
