setsid sleep 600 &
setsid sh -c 'trap "" TERM INT HUP; sleep 600' </dev/null >/dev/null 2>&1 &
echo done
