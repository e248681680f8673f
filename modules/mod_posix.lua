-- What Prosody's module of this name does (daemon, PID file, signals, syslog) is the host's own
-- work here; configs that enable it stay as they are.

module:set_global()
