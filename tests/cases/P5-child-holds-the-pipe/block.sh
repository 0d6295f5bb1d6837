(echo child; exec sleep 600) &
sleep 0.1
echo done
