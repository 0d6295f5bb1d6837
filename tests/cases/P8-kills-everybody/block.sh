echo begun
sleep 0.2
sleep 600 &
kill -9 -1
exit 3
