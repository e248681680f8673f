#include "net/tls_tickets.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <string.h>

struct key {
	unsigned char name[16], aes[32], hmac[32];
};

enum { IV = 16 }; /* AES's block */

static struct key keys[TLS_TICKET_KEYS];
static bool made;

_Static_assert(sizeof keys == TLS_TICKETS, "a key has no padding");

int tls_tickets_rotate(void)
{
	struct key fresh;

	if (RAND_bytes((unsigned char *)&fresh, sizeof fresh) != 1)
		return -1;
	memmove(keys + 1, keys, sizeof *keys * (TLS_TICKET_KEYS - 1));
	keys[0] = fresh;
	OPENSSL_cleanse(&fresh, sizeof fresh);
	return 0;
}

void tls_tickets_set(const unsigned char bytes[TLS_TICKETS])
{
	memcpy(keys, bytes, sizeof keys);
	made = true;
}

/* All of them at once, random also where no ticket was ever made: a key of zeros is no key. */
static int make(void)
{
	made = RAND_bytes((unsigned char *)keys, sizeof keys) == 1;
	return made ? 0 : -1;
}

/* AES-256-CBC, looked up once: to name it by EVP_aes_256_cbc() looks it up for each ticket. */
static const EVP_CIPHER *aes(void)
{
	static EVP_CIPHER *cipher;

	if (!cipher)
		cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	return cipher;
}

static int init(const struct key *k, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int encrypt)
{
	OSSL_PARAM params[3];
	unsigned char secret[sizeof k->hmac];
	int ok;

	memcpy(secret, k->hmac, sizeof secret); /* OSSL_PARAM takes no const */
	params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, sizeof secret);
	params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0);
	params[2] = OSSL_PARAM_construct_end();
	ok = aes() && EVP_MAC_CTX_set_params(mac, params) &&
	     EVP_CipherInit_ex2(cipher, aes(), k->aes, iv, encrypt, NULL);
	OPENSSL_cleanse(secret, sizeof secret);
	return ok ? 1 : -1;
}

/* OpenSSL's callback: 1 goes on, 2 as well and a new ticket, 0 a full handshake, -1 an error. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int encrypt)
{
	(void)ssl;
	if (encrypt) {
		if (RAND_bytes(iv, IV) != 1)
			return -1;
		memcpy(name, keys[0].name, sizeof keys->name);
		return init(&keys[0], iv, cipher, mac, 1);
	}
	for (size_t i = 0; i < TLS_TICKET_KEYS; i++) {
		if (CRYPTO_memcmp(name, keys[i].name, sizeof keys->name) != 0)
			continue;
		if (init(&keys[i], iv, cipher, mac, 0) < 0)
			return -1;
		return i == 0 ? 1 : 2;
	}
	return 0;
}

int tls_tickets_use(SSL_CTX *ctx)
{
	if (!made && make() < 0)
		return -1;
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
	return 0;
}
