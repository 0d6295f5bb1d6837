(while true; do echo tick; sleep 0.01; done) &
sleep 0.1
echo done
