console.log("out");
process.exitCode = @CODE@;
