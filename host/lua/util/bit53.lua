--- Prosody's name for util.bitcompat on newer Lua.
return require "util.bitcompat"
