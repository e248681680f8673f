--- JSON Web Tokens (RFC 7519) with the signatures of RFC 7518: HS, RS, PS, ES with 256, 384, 512.

local base64 <const> = require "util.encodings".base64
local crypto <const> = require "util.crypto"
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

local function read_part(text)
	local data = decode(text)
	return data and json.decode(data)
end

-- → what was signed, the signature (encoded), the claims (encoded); or nil and the reason
local function split(token, algorithm)
	local signed, header, claims, signature =
		token:match "^(([%w_-]+)%.([%w_-]+))%.([%w_-]+)$"
	if not signed then
		return nil, "invalid-encoding"
	end
	header = read_part(header)
	if type(header) ~= "table" then
		return nil, "invalid-header"
	elseif header.alg ~= algorithm then
		return nil, "unsupported-algorithm"
	end
	return signed, signature, claims
end

local function read_claims(text)
	local payload, err = read_part(text)
	if payload == nil or err then
		return nil, "json-decode-error"
	elseif type(payload) ~= "table" then
		return nil, "invalid-payload-type"
	end
	return true, payload
end

-- An algorithm from its two halves.
--- @param make function(key, text) → signature
-- @param is_right function(key, text, signature as in the token) → true or anything else
local function algorithm(name, make, is_right)
	local header <const> = encode(('{"alg":"%s","typ":"JWT"}'):format(name)) .. "."
	return {
		sign = function (key, payload)
			local signed = header .. encode(json.encode(payload))
			return signed .. "." .. encode(make(key, signed))
		end,
		verify = function (key, token)
			local signed, signature, claims = split(token, name)
			if not signed then
				return nil, signature
			elseif not is_right(key, signed, signature) then
				return false, "signature-mismatch"
			end
			return read_claims(claims)
		end,
	}
end

local function hmac_algorithm(name)
	local hmac <const> = hashes["hmac_sha" .. name:sub(3)]
	local self <const> = algorithm(name, hmac, function (key, text, signature)
		return hashes.equals(encode(hmac(key, text)), signature)
	end)
	function self.load_key(key)
		assert(type(key) == "string", "key must be string (long, random, secure)")
		return key
	end
	return self
end

--- @param bits of the curve, nil for RSA: a key of another one is refused when it is loaded
-- @param to_token, from_token of a signature; nil: as it is
local function key_algorithm(name, key_type, bits, scheme, to_token, from_token)
	local make <const>, check <const> = crypto[scheme .. "_sign"], crypto[scheme .. "_verify"]
	local self <const> = algorithm(name, function (key, text)
		local signature = assert(make(key, text), name .. ": this key cannot sign")
		return to_token and to_token(signature) or signature
	end, function (key, text, signature)
		signature = decode(signature)
		if signature and from_token then
			signature = from_token(signature)
		end
		return signature and check(key, text, signature)
	end)
	local function checked(key, what)
		assert(key, name .. ": not a " .. what .. " key in PEM")
		assert(key:get_type() == key_type and (not bits or key:bits() == bits), "incorrect key type")
		return key
	end
	function self.load_public_key(pem)
		return checked(crypto.import_public_pem(pem), "public")
	end
	function self.load_private_key(pem)
		return checked(crypto.import_private_pem(pem), "private")
	end
	return self
end

-- A token has the two integers one after the other, OpenSSL makes DER of them.
local function ec_algorithm(name, bits)
	local width <const> = (bits + 7) // 8
	return key_algorithm(name, "id-ecPublicKey", bits, "ecdsa_sha" .. name:sub(3), function (der)
		local r, s = crypto.parse_ecdsa_signature(der, width)
		return r .. s
	end, function (signature)
		return #signature == 2 * width
			and crypto.build_ecdsa_signature(signature:sub(1, width), signature:sub(width + 1))
	end)
end

local algorithms <const> = {
	ES256 = ec_algorithm("ES256", 256), ES384 = ec_algorithm("ES384", 384),
	ES512 = ec_algorithm("ES512", 521),
}
for _, size in ipairs { "256", "384", "512" } do
	algorithms["HS" .. size] = hmac_algorithm("HS" .. size)
	algorithms["RS" .. size] = key_algorithm("RS" .. size, "rsaEncryption", nil,
		"rsassa_pkcs1_sha" .. size)
	algorithms["PS" .. size] = key_algorithm("PS" .. size, "rsaEncryption", nil,
		"rsassa_pss_sha" .. size)
end

local function find(name)
	return algorithms[name] or error("Unknown JWT algorithm: " .. tostring(name)
		.. " (HS, RS, PS and ES with 256, 384 or 512 are known)", 3)
end

--- @param algorithm_name HS256 to HS512 (key: any string), RS, PS or ES (key: a private key in PEM,
-- for ES256 of P-256, ES384 of P-384, ES512 of P-521); another key raises
-- @param options optional: default_ttl (s, 3600)
-- @return sign(payload) -> token; adds iat and exp to a payload without them
function jwt.new_signer(algorithm_name, key, options)
	local how <const> = find(algorithm_name)
	local loaded <const> = (how.load_private_key or how.load_key)(key)
	local lifetime <const> = options and options.default_ttl or 3600
	return function (payload)
		local now = os.time()
		payload.exp = payload.exp or now + lifetime
		payload.iat = payload.iat or now
		return how.sign(loaded, payload)
	end
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

--- @param key as for new_signer, but the public key
-- @param options optional: accept_expired, claim_verifier (fn(payload) -> bool)
-- @return verify(token) -> true, payload; false, "signature-mismatch"; nil, "invalid-encoding",
-- "invalid-header", "unsupported-algorithm", "json-decode-error", "invalid-payload-type",
-- "invalid-expiry", "token-expired" or "incorrect-claims"
function jwt.new_verifier(algorithm_name, key, options)
	local how <const> = find(algorithm_name)
	local loaded <const> = (how.load_public_key or how.load_key)(key)
	options = options or {}
	return function (token)
		local ok, payload = how.verify(loaded, token)
		local fault = ok and check_claims(payload, options)
		if fault then
			return nil, fault
		end
		return ok, payload
	end
end

--- Both at once; without a verify_key the two share `key`.
function jwt.init(algorithm_name, key, verify_key, options)
	return jwt.new_signer(algorithm_name, key, options),
		jwt.new_verifier(algorithm_name, verify_key or key, options)
end

--- HS256 in one call: sign(key, payload) -> token, without iat and exp of its own; verify(key,
-- token) as above, but expired tokens are the caller's business, as in Prosody.
jwt.sign, jwt.verify = algorithms.HS256.sign, algorithms.HS256.verify

jwt._algorithms = algorithms -- Prosody's specs look here

return jwt
