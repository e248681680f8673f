local hashes <const> = require "util.hashes"
local hex <const> = require "util.hex"

local function unhex(text)
	return (hex.decode(text))
end

describe("util.hashes", function ()
	-- of "abc": RFC 1321, FIPS 180-4, FIPS 202, RFC 7693
	for name, digest in pairs {
		md5 = "900150983cd24fb0d6963f7d28e17f72",
		sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d",
		sha224 = "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
		sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		sha384 = "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
			.. "8086072ba1e7cc2358baeca134c825a7",
		sha512 = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
			.. "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
		sha3_256 = "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
		sha3_512 = "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e"
			.. "10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
		blake2s256 = "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982",
		blake2b512 = "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
			.. "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
	} do
		it("knows " .. name .. " of abc, in bytes and in hexadecimal", function ()
			assert.equal(digest, hashes[name]("abc", true))
			assert.equal(unhex(digest), hashes[name]("abc"))
			assert.equal(#digest / 2, #hashes[name](""))
			assert.not_equal(hashes[name]("abc\0"), hashes[name]("abc"))
		end)
	end

	-- RFC 2202 and RFC 4231, case 2: key "Jefe"
	for name, digest in pairs {
		md5 = "750c783e6ab0b503eaa86e310a5db738",
		sha1 = "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
		sha224 = "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44",
		sha256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
		sha384 = "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
			.. "8e2240ca5e69e2c78b3239ecfab21649",
		sha512 = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
			.. "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
	} do
		it("knows hmac_" .. name .. " of RFC 2202 and 4231", function ()
			local text = "what do ya want for nothing?"
			assert.equal(digest, hashes["hmac_" .. name]("Jefe", text, true))
			assert.equal(unhex(digest), hashes["hmac_" .. name]("Jefe", text))
		end)
	end

	it("makes HMACs with the other hashes and with odd keys", function ()
		for name, size in pairs { sha3_256 = 32, sha3_512 = 64, blake2s256 = 32, blake2b512 = 64 } do
			local hmac = hashes["hmac_" .. name]
			assert.equal(size, #hmac("", ""))
			assert.not_equal(hmac(("k"):rep(500), "m"), hmac(("k"):rep(501), "m"))
		end
	end)

	-- RFC 6070; of the vector in RFC 7914, 11, the first 32 bytes
	it("derives keys with PBKDF2", function ()
		assert.equal("4b007901b765489abead49d926f721d065a429c1",
			hex.encode(hashes.pbkdf2_hmac_sha1("password", "salt", 4096)))
		assert.equal("55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc",
			hex.encode(hashes.pbkdf2_hmac_sha256("passwd", "salt", 1)))
		assert.equal(hashes.pbkdf2_hmac_sha1, hashes.scram_Hi_sha1)
	end)

	-- RFC 5869, appendix A
	it("derives keys with HKDF, with and without salt and info", function ()
		local input = ("\11"):rep(22)
		assert.equal("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
			.. "34007208d5b887185865", hex.encode(hashes.hkdf_hmac_sha256(42, input,
			unhex "000102030405060708090a0b0c", unhex "f0f1f2f3f4f5f6f7f8f9")))
		assert.equal("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
			.. "9d201395faa4b61a96c8", hex.encode(hashes.hkdf_hmac_sha256(42, input, nil, "")))
		assert.equal(hashes.hkdf_hmac_sha256(42, input), hashes.hkdf_hmac_sha256(42, input, nil, ""))
		assert.equal(255 * 32, #hashes.hkdf_hmac_sha256(255 * 32, input))
		assert.equal(48, #hashes.hkdf_hmac_sha384(48, input, "salt", "info"))
	end)

	it("compares", function ()
		assert.is_true(hashes.equals("", ""))
		assert.is_true(hashes.equals("a\0b", "a\0b"))
		assert.is_false(hashes.equals("a\0b", "a\0c"))
		assert.is_false(hashes.equals("a", "ab"))
	end)

	it("refuses arguments that make no sense", function ()
		for _, case in ipairs {
			{ "sha256" }, { "sha256", {} }, { "hmac_sha1", "key" }, { "equals", "a" },
			{ "pbkdf2_hmac_sha1", "p", "s", 0 }, { "pbkdf2_hmac_sha1", "p", "s", -1 },
			{ "pbkdf2_hmac_sha1", "p", "s", 2 ^ 31 }, { "hkdf_hmac_sha256", 0, "i" },
			{ "hkdf_hmac_sha256", -1, "i" }, { "hkdf_hmac_sha256", 255 * 32 + 1, "i" },
		} do
			assert.error_matches(function ()
				hashes[case[1]](table.unpack(case, 2))
			end, "bad argument")
		end
	end)

	it("has the names of util.hmac", function ()
		local hmac = require "util.hmac"
		for _, name in ipairs { "md5", "sha1", "sha256", "sha512" } do
			assert.equal(hashes["hmac_" .. name], hmac[name])
		end
	end)

	it("is what the host's own SHA-256 says, at every length around a block", function ()
		local own <const> = require "host.sys".sha256
		for size = 0, 200 do
			local text <const> = ("\0\255gadwall"):rep(30):sub(1, size)
			assert.equal(hashes.sha256(text, true), hex.encode(own(text)), size .. " bytes")
		end
		local long <const> = ("0123456789abcdef"):rep(1 << 16)
		assert.equal(hashes.sha256(long), own(long))
	end)
end)
