local crypto <const> = require "util.crypto"
local hex <const> = require "util.hex"
local process <const> = require "spec.support.process"

local dir

local function path(name) return dir .. "/" .. name end

local function put(name, bytes)
	process.write_file(path(name), bytes)
	return path(name)
end

local function openssl(...)
	local code, out, err = process.run { argv = { "openssl", ... }, timeout = 60 }
	return code == 0, out, err
end

-- → the private and the public PEM, made by the openssl program
local function make(name, ...)
	assert(openssl("genpkey", "-out", path(name), ...))
	assert(openssl("pkey", "-in", path(name), "-pubout", "-out", path(name .. ".pub")))
	return process.read_file(path(name)), process.read_file(path(name .. ".pub"))
end

describe("util.crypto", function ()
	local rsa, rsa_public, ec, ec_public, ed, ed_public

	setup(function ()
		dir = process.temp_dir()
		rsa, rsa_public = make("rsa", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
		ec, ec_public = make("ec", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
		ed, ed_public = make("ed", "-algorithm", "ED25519")
	end)
	teardown(function () process.remove_tree(dir) end)

	it("reads keys of the openssl program and writes them as it does", function ()
		for kind, pems in pairs { rsaEncryption = { rsa, rsa_public }, ED25519 = { ed, ed_public },
			["id-ecPublicKey"] = { ec, ec_public } } do
			local key = crypto.import_private_pem(pems[1])
			assert.equal(kind, key:get_type())
			assert.equal(pems[1], key:private_pem())
			assert.equal(pems[2], key:public_pem())
			local half = crypto.import_public_pem(pems[2])
			assert.equal(kind, half:get_type())
			assert.equal(pems[2], half:public_pem())
			assert.has_error(function () half:private_pem() end)
		end
		assert.equal(2048, crypto.import_public_pem(rsa_public):bits())
	end)

	it("answers nil to what is no key", function ()
		for _, text in ipairs { "", "foo", rsa:sub(1, 200), ("\0"):rep(99) } do
			assert.is_nil(crypto.import_private_pem(text))
			assert.is_nil(crypto.import_public_pem(text))
		end
		assert.is_nil(crypto.import_private_pem(ec_public))
		assert.is_nil(crypto.import_public_ec_raw("short", "P-256"))
		assert.is_nil(crypto.import_public_ec_raw(("\4"):rep(65), "no such curve"))
	end)

	it("asks nobody for the password of an encrypted key", function ()
		assert(openssl("pkey", "-in", path "rsa", "-aes128", "-passout", "pass:secret", "-out",
			path "locked"))
		assert.is_nil(crypto.import_private_pem(process.read_file(path "locked")))
	end)

	it("makes keys, and points of them", function ()
		local made = crypto.generate_p256_keypair()
		local raw = made:public_raw()
		assert.equal(65, #raw)
		assert.equal(made:public_pem(), crypto.import_public_ec_raw(raw, "P-256"):public_pem())
		assert.equal(32, #crypto.generate_ed25519_keypair():public_raw())
		assert.is_nil(crypto.import_private_pem(rsa):public_raw())
	end)

	it("derives the secret that the openssl program derives", function ()
		local peer = crypto.generate_p256_keypair()
		put("peer.pub", peer:public_pem())
		assert(openssl("pkeyutl", "-derive", "-inkey", path "ec", "-peerkey", path "peer.pub", "-out",
			path "secret"))
		local secret = process.read_file(path "secret")
		assert.equal(secret, peer:derive(crypto.import_public_pem(ec_public)))
		assert.equal(secret, crypto.import_private_pem(ec):derive(peer))
		assert.has_error(function () peer:derive(crypto.import_public_pem(rsa_public)) end)
	end)

	local pss <const> = { "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest" }
	for _, bits in ipairs { "256", "384", "512" } do
		for scheme, how in pairs { ecdsa = { "ec" }, rsassa_pkcs1 = { "rsa" },
			rsassa_pss = { "rsa", table.unpack(pss) } } do
			local name <const> = ("%s_sha%s"):format(scheme, bits)
			it(("%s signs for the openssl program and verifies what it signed"):format(name), function ()
				local more = { table.unpack(how, 2) }
				more[#more + 1] = put("text", "words\0more words")
				local key = crypto.import_private_pem(process.read_file(path(how[1])))
				local half = crypto.import_public_pem(process.read_file(path(how[1] .. ".pub")))
				put("sig", crypto[name .. "_sign"](key, "words\0more words"))
				assert(openssl("dgst", "-sha" .. bits, "-verify", path(how[1] .. ".pub"), "-signature",
					path "sig", table.unpack(more)))
				assert(openssl("dgst", "-sha" .. bits, "-sign", path(how[1]), "-out", path "sig2",
					table.unpack(more)))
				local theirs = process.read_file(path "sig2")
				local verify = crypto[name .. "_verify"]
				assert.is_true(verify(half, "words\0more words", theirs))
				assert.is_true(verify(key, "words\0more words", theirs))
				assert.is_falsy(verify(half, "words", theirs))
				assert.is_falsy(verify(half, "words\0more words", theirs:sub(1, -2)))
				assert.is_falsy(verify(half, "words\0more words", ""))
			end)
		end
	end

	it("signs with Ed25519", function ()
		local key = crypto.import_private_pem(ed)
		local signature = crypto.ed25519_sign(key, "words")
		assert.equal(64, #signature)
		put("text", "words")
		put("sig", signature)
		assert(openssl("pkeyutl", "-verify", "-pubin", "-inkey", path "ed.pub", "-rawin", "-in",
			path "text", "-sigfile", path "sig"))
		assert.is_true(crypto.ed25519_verify(crypto.import_public_pem(ed_public), "words", signature))
		assert.is_falsy(crypto.ed25519_verify(key, "word", signature))
	end)

	it("refuses a key of another kind, and half a key for signing", function ()
		local wrong = crypto.import_private_pem(ed)
		assert.error_matches(function () crypto.ecdsa_sha256_sign(wrong, "") end,
			"unexpected key type: got 'ED25519', expected 'id%-ecPublicKey'")
		assert.error_matches(function ()
			crypto.rsassa_pss_sha256_sign(crypto.import_public_pem(rsa_public), "")
		end, "private key expected, got public key only")
	end)

	it("knows both forms of an ECDSA signature", function ()
		-- r with a leading zero in DER, s of one byte
		local der = hex.decode("3026" .. "022100" .. ("ff"):rep(32) .. "020107")
		local r, s = crypto.parse_ecdsa_signature(der, 32)
		assert.equal(("\255"):rep(32), r)
		assert.equal(("\0"):rep(31) .. "\7", s)
		assert.equal(der, crypto.build_ecdsa_signature(r, s))
		for _, bad in ipairs { "", "\0", "\48", ("\0"):rep(72), ("\255"):rep(300), der:sub(1, -2) } do
			assert.is_nil((crypto.parse_ecdsa_signature(bad, 32)))
		end
		assert.has_error(function () crypto.parse_ecdsa_signature(der, 31) end)
		assert.has_error(function () crypto.parse_ecdsa_signature(der, 67) end)
		assert.has_error(function () crypto.build_ecdsa_signature(("x"):rep(67), "") end)
	end)

	-- Test cases 3 and 15 of the GCM specification (McGrew, Viega); SP 800-38A F.5.5 for CTR.
	local key128 <const> = hex.decode "feffe9928665731c6d6a8f9467308308"
	local iv <const> = hex.decode "cafebabefacedbaddecaf888"
	local plain <const> = hex.decode("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
		.. "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255")

	it("has AES-GCM as NIST has", function ()
		local c3 = hex.decode("42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
			.. "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985"
			.. "4d5c2af327cd64a62cf35abd2ba6fab4")
		assert.equal(hex.encode(c3), hex.encode(crypto.aes_128_gcm_encrypt(key128, iv, plain)))
		local c15 = hex.decode("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
			.. "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
			.. "b094dac5d93471bdec1a502270e3cc6c")
		local key256 = key128 .. key128
		assert.equal(hex.encode(c15), hex.encode(crypto.aes_256_gcm_encrypt(key256, iv, plain)))
		assert.equal(plain, crypto.aes_256_gcm_decrypt(key256, iv, c15))
		assert.same({ nil, "verify-failed" }, { crypto.aes_256_gcm_decrypt(key256, iv, c15:sub(2)) })
		assert.equal("", crypto.aes_128_gcm_decrypt(key128, iv,
			crypto.aes_128_gcm_encrypt(key128, iv, "")))
	end)

	it("has AES-CTR as NIST has", function ()
		local key = hex.decode "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
		local counter = hex.decode "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
		local text = hex.decode "6bc1bee22e409f96e93d7e117393172a"
		local sealed = crypto.aes_256_ctr_encrypt(key, counter, text)
		assert.equal("601ec313775789a5b7a7f504bbf3d228", hex.encode(sealed))
		assert.equal(text, crypto.aes_256_ctr_decrypt(key, counter, sealed))
	end)

	it("raises for keys, counters and texts of a length that cannot be", function ()
		for _, args in ipairs { { "short", iv, "x" }, { key128, "short", "x" } } do
			assert.has_error(function () crypto.aes_128_gcm_encrypt(table.unpack(args)) end)
			assert.has_error(function () crypto.aes_128_gcm_decrypt(table.unpack(args)) end)
		end
		assert.has_error(function () crypto.aes_128_gcm_decrypt(key128, iv, ("x"):rep(15)) end)
	end)

	it("leaves no error in OpenSSL's queue", function ()
		assert.equal(0, require "host.tls".queue())
	end)
end)
