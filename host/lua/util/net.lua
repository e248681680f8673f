--- Addresses as text and as bytes: Prosody's util.net (C).
--   pton(text) -> 4 or 16 bytes, or nil, error
--   ntop(bytes) -> text, or nil, error
--   local_addresses([type: "both", "ipv4", "ipv6"], [link_local: bool]) -> list of this machine's
--   addresses on interfaces that are up, not loopback and not point-to-point
return require "host.inet"
