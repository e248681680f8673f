--- Prosody's net.dns: what is left of it where names are asked by net.adns.
return require "net.adns".dns
