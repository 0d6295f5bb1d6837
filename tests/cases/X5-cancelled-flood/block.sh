yes xxxxxxxxxxxxxxxx >&2 &
trap "" INT
yes xxxxxxxxxxxxxxxx
