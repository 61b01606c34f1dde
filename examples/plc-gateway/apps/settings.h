/* The settings that Fastness writes to /etc/opcua/NAME.conf, and the files that they name. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <open62541/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_POLICIES 4
#define MAX_FILES 32
#define MAX_LINE 512

/* Files of a folder, in memory. */
struct files {
	UA_ByteString content[MAX_FILES];
	size_t count;
};

/* A trust list: certificates that are trusted, those between, and lists of revoked ones. */
struct trust {
	struct files trusted, issuers, lists;
};

struct settings {
	bool server, discovery;
	uint16_t port;
	uint32_t key_bits, key_bits_max;
	char policies[MAX_POLICIES][32];
	size_t policy_count;
	bool sign_and_encrypt, user_certificates, strict;
	char application_uri[MAX_LINE], peer_uri[MAX_LINE];
	char certificate[MAX_LINE], private_key[MAX_LINE];
	char trusted[MAX_LINE], issuer[MAX_LINE], user_trusted[MAX_LINE], user_issuer[MAX_LINE];
};

/* Reads the settings; says what is wrong with them. What is unknown or weak is wrong. */
bool settings_read(const char *path, struct settings *settings);

/* A whole file; empty, and said, when it cannot be read. */
UA_ByteString file_read(const char *path);

/* A private key: PEM with its zero byte, as mbedTLS wants it, or DER. */
UA_ByteString key_read(const char *path);

/* The trust list in FOLDER/{certs,crl} with the issuers' in ISSUERS/{certs,crl}. Without a list of
 * revoked certificates that holds now there is none: open62541 looks at no dates, and not at all without a list. */
bool trust_read(const char *folder, const char *issuers, struct trust *trust);

/* Whether a certificate names URI, or one that goes on with a colon; the one it names goes to FOUND. */
bool certificate_uri(UA_ByteString certificate, const char *uri, char *found, size_t size);

/* Whether the RSA key of a certificate is neither too short nor too long. */
bool certificate_key(UA_ByteString certificate, const struct settings *settings);

#endif
