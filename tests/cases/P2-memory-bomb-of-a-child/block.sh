echo begun
python3 -c "x = bytearray(3_000_000_000)"
