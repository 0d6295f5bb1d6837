echo begun
kill -KILL $$
