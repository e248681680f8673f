--- JSON Web Tokens (RFC 7519) signed with HMAC: HS256, HS384, HS512.

local base64 <const> = require "util.encodings".base64
local hashes <const> = require "util.hashes"
local json <const> = require "util.json"

local jwt <const> = {}

local function encode(data)
	return (base64.encode(data):gsub("[+/=]", { ["+"] = "-", ["/"] = "_", ["="] = "" }))
end

local function decode(text)
	local data = text:gsub("[-_]", { ["-"] = "+", ["_"] = "/" })
	return base64.decode(data .. ("="):rep(-#data % 4))
end

local algorithms <const> = {
	HS256 = hashes.hmac_sha256, HS384 = hashes.hmac_sha384, HS512 = hashes.hmac_sha512,
}

local function check_algorithm(name)
	if not algorithms[name] then
		error(("Unknown JWT algorithm: %s (HS256, HS384 and HS512 are known)"):format(
			tostring(name)), 3)
	end
	return algorithms[name]
end

local function sign(algorithm, key, payload)
	local signed = encode(json.encode({ alg = algorithm, typ = "JWT" })) .. "."
		.. encode(json.encode(payload))
	return signed .. "." .. encode(algorithms[algorithm](key, signed))
end

--- @param options optional: default_ttl (s, 3600)
-- @return sign(payload) -> token; adds iat and exp to a payload without them
function jwt.new_signer(algorithm, key, options)
	check_algorithm(algorithm)
	local lifetime <const> = options and options.default_ttl or 3600
	return function (payload)
		payload.iat = payload.iat or os.time()
		payload.exp = payload.exp or payload.iat + lifetime
		return sign(algorithm, key, payload)
	end
end

local function read_part(text)
	local data = decode(text)
	local value = data and json.decode(data)
	return type(value) == "table" and value or nil
end

local function check_claims(payload, options)
	if not options.accept_expired and payload.exp then
		if type(payload.exp) ~= "number" then
			return "invalid-expiry"
		elseif payload.exp < os.time() then
			return "token-expired"
		end
	end
	if options.claim_verifier and not options.claim_verifier(payload) then
		return "incorrect-claims"
	end
end

--- @param options optional: accept_expired, claim_verifier (fn(payload) -> bool)
-- @return verify(token) -> true, payload; false, "signature-mismatch"; nil, "invalid-encoding",
-- "invalid-header", "unsupported-algorithm", "json-decode-error", "invalid-expiry",
-- "token-expired" or "incorrect-claims"
function jwt.new_verifier(algorithm, key, options)
	local hmac <const> = check_algorithm(algorithm)
	options = options or {}
	return function (token)
		local signed, header, body, signature =
			token:match "^(([%w_-]+)%.([%w_-]+))%.([%w_-]+)$"
		if not signed then
			return nil, "invalid-encoding"
		end
		header = read_part(header)
		if not header then
			return nil, "invalid-header"
		elseif header.alg ~= algorithm then
			return nil, "unsupported-algorithm"
		elseif not hashes.equals(encode(hmac(key, signed)), signature) then
			return false, "signature-mismatch"
		end
		local payload = read_part(body)
		if not payload then
			return nil, "json-decode-error"
		end
		local fault = check_claims(payload, options)
		if fault then
			return nil, fault
		end
		return true, payload
	end
end

--- Both at once, for a shared key.
function jwt.init(algorithm, key, verify_key, options)
	return jwt.new_signer(algorithm, key, options),
		jwt.new_verifier(algorithm, verify_key or key, options)
end

--- HS256 in one call, without iat and exp of its own.
function jwt.sign(key, payload)
	return sign("HS256", key, payload)
end

--- HS256 in one call; expired tokens are the caller's business, as in Prosody.
function jwt.verify(key, token)
	return jwt.new_verifier("HS256", key, { accept_expired = true })(token)
end

return jwt
