trap "" INT TERM HUP
echo begun
bomb() {
  if [ "$1" -gt 0 ]; then
    bomb $(($1 - 1)) &
    bomb $(($1 - 1)) &
  fi
  exec sleep 600
}
bomb 8
