echo out
exit @CODE@
