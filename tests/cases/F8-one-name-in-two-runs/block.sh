# filename: same.sh
echo @COPY@
sleep 0.05
echo @COPY@
