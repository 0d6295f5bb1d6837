printf "Name? "
read -r one
printf "Other? "
read -r two
echo "$one $two"
