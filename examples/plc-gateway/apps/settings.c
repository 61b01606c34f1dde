#include "settings.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <mbedtls/oid.h>
#include <mbedtls/x509_crl.h>
#include <mbedtls/x509_crt.h>

#define MAX_FILE (1024 * 1024)

/* What the example is built with. Any other word is refused, so that no file weakens the program. */
static const char *const policies[] = {"Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256"};

static bool copy(char *to, size_t size, const char *value)
{
	int length = snprintf(to, size, "%s", value);
	return length > 0 && (size_t)length < size;
}

static bool number(const char *value, unsigned long max, unsigned long *out)
{
	char *end;
	errno = 0;
	*out = strtoul(value, &end, 10);
	return errno == 0 && *value >= '0' && *value <= '9' && *end == '\0' && *out > 0 && *out <= max;
}

static bool policy(struct settings *s, const char *value)
{
	for (size_t i = 0; i < sizeof(policies) / sizeof(*policies); i++) {
		if (strcmp(value, policies[i]) == 0 && s->policy_count < MAX_POLICIES)
			return copy(s->policies[s->policy_count++], sizeof(s->policies[0]), value);
	}
	return false;
}

static bool boolean(const char *value, bool *out)
{
	*out = strcmp(value, "true") == 0;
	return *out || strcmp(value, "false") == 0;
}

static bool set(struct settings *s, const char *key, const char *value)
{
	const struct {
		const char *key;
		char *to;
	} texts[] = {
		{"application_uri", s->application_uri}, {"peer_uri", s->peer_uri},
		{"certificate", s->certificate}, {"private_key", s->private_key},
		{"trusted", s->trusted}, {"issuer", s->issuer},
		{"user_trusted", s->user_trusted}, {"user_issuer", s->user_issuer},
	};
	unsigned long n = 0;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		if (strcmp(key, texts[i].key) == 0)
			return copy(texts[i].to, MAX_LINE, value);
	}
	if (strcmp(key, "role") == 0) {
		s->server = strcmp(value, "server") == 0;
		return s->server || strcmp(value, "client") == 0;
	}
	if (strcmp(key, "policy") == 0)
		return policy(s, value);
	if (strcmp(key, "mode") == 0)
		return s->sign_and_encrypt = strcmp(value, "SignAndEncrypt") == 0;
	if (strcmp(key, "user_token") == 0)
		return s->user_certificates = strcmp(value, "Certificate") == 0;
	if (strcmp(key, "revocation") == 0)
		return s->strict = strcmp(value, "strict") == 0;
	if (strcmp(key, "discovery") == 0)
		return boolean(value, &s->discovery);
	if (strcmp(key, "port") == 0 && number(value, UINT16_MAX, &n)) {
		s->port = (uint16_t)n;
		return true;
	}
	if (strcmp(key, "key_bits") == 0 && number(value, 16384, &n)) {
		s->key_bits = (uint32_t)n;
		return true;
	}
	if (strcmp(key, "key_bits_max") == 0 && number(value, 16384, &n)) {
		s->key_bits_max = (uint32_t)n;
		return true;
	}
	return false;
}

static bool complete(const struct settings *s)
{
	return s->port && s->key_bits && s->key_bits_max && s->policy_count && s->sign_and_encrypt &&
	       s->user_certificates && s->strict && *s->certificate && *s->private_key && *s->trusted && *s->issuer &&
	       (s->server ? *s->application_uri && *s->user_trusted && *s->user_issuer : *s->peer_uri != '\0');
}

bool settings_read(const char *path, struct settings *s)
{
	char line[MAX_LINE];
	unsigned int at = 0;
	FILE *file = fopen(path, "re");
	memset(s, 0, sizeof(*s));
	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return false;
	}
	while (fgets(line, sizeof(line), file)) {
		char *value = strstr(line, " = ");
		at++;
		line[strcspn(line, "\n")] = '\0';
		if (*line == '\0' || *line == '#')
			continue;
		if (value)
			*value = '\0';
		if (!value || !set(s, line, value + 3)) {
			fprintf(stderr, "%s:%u: `%s` is unknown, or has a value that is refused\n", path, at, line);
			fclose(file);
			return false;
		}
	}
	fclose(file);
	if (!complete(s))
		fprintf(stderr, "%s: a setting is missing\n", path);
	return complete(s);
}

UA_ByteString file_read(const char *path)
{
	UA_ByteString content = UA_BYTESTRING_NULL;
	struct stat about;
	FILE *file = fopen(path, "re");
	if (!file || fstat(fileno(file), &about) != 0 || !S_ISREG(about.st_mode) || about.st_size <= 0 ||
	    about.st_size > MAX_FILE || UA_ByteString_allocBuffer(&content, (size_t)about.st_size) != UA_STATUSCODE_GOOD ||
	    fread(content.data, 1, content.length, file) != content.length) {
		fprintf(stderr, "%s: cannot be read\n", path);
		UA_ByteString_clear(&content);
	}
	if (file)
		fclose(file);
	return content;
}

UA_ByteString key_read(const char *path)
{
	UA_ByteString text = file_read(path), key = UA_BYTESTRING_NULL;
	if (text.length && UA_ByteString_allocBuffer(&key, text.length + 1) == UA_STATUSCODE_GOOD) {
		memcpy(key.data, text.data, text.length);
		key.data[text.length] = '\0';
	}
	explicit_bzero(text.data, text.length);
	UA_ByteString_clear(&text);
	return key;
}

/* Every file of FOLDER/PART. */
static bool folder_read(const char *folder, const char *part, struct files *files)
{
	char path[2 * MAX_LINE];
	struct dirent *entry;
	DIR *listing;
	snprintf(path, sizeof(path), "%s/%s", folder, part);
	listing = opendir(path);
	if (!listing) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return false;
	}
	while ((entry = readdir(listing))) {
		if (entry->d_name[0] == '.')
			continue;
		if (files->count == MAX_FILES ||
		    snprintf(path, sizeof(path), "%s/%s/%s", folder, part, entry->d_name) >= (int)sizeof(path)) {
			fprintf(stderr, "%s/%s: too many files, or too long a name\n", folder, part);
			break;
		}
		files->content[files->count] = file_read(path);
		if (!files->content[files->count].length)
			break;
		files->count++;
	}
	closedir(listing);
	return !entry;
}

static bool holds_now(UA_ByteString list)
{
	mbedtls_x509_crl crl;
	bool holds;
	mbedtls_x509_crl_init(&crl);
	holds = mbedtls_x509_crl_parse(&crl, list.data, list.length) == 0 &&
		!mbedtls_x509_time_is_future(&crl.this_update) && !mbedtls_x509_time_is_past(&crl.next_update);
	mbedtls_x509_crl_free(&crl);
	return holds;
}

bool trust_read(const char *folder, const char *issuers, struct trust *trust)
{
	memset(trust, 0, sizeof(*trust));
	if (!folder_read(folder, "certs", &trust->trusted) || !folder_read(issuers, "certs", &trust->issuers) ||
	    !folder_read(folder, "crl", &trust->lists) || !folder_read(issuers, "crl", &trust->lists))
		return false;
	for (size_t i = 0; i < trust->lists.count; i++) {
		if (!holds_now(trust->lists.content[i])) {
			fprintf(stderr, "%s: a list of revoked certificates is malformed, not yet valid or ended\n", folder);
			return false;
		}
	}
	if (!trust->trusted.count || !trust->lists.count)
		fprintf(stderr, "%s: nobody is trusted, or no list says who is revoked\n", folder);
	return trust->trusted.count && trust->lists.count;
}

bool certificate_uri(UA_ByteString der, const char *uri, char *found, size_t size)
{
	mbedtls_x509_crt certificate;
	bool named = false;
	mbedtls_x509_crt_init(&certificate);
	if (mbedtls_x509_crt_parse(&certificate, der.data, der.length) == 0) {
		for (mbedtls_x509_sequence *name = &certificate.subject_alt_names; name && !named; name = name->next) {
			/* uniformResourceIdentifier is [6] (RFC 5280, 4.2.1.6). */
			if ((name->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) != MBEDTLS_X509_SAN_UNIFORM_RESOURCE_IDENTIFIER ||
			    name->buf.len >= size || memchr(name->buf.p, '\0', name->buf.len))
				continue;
			memcpy(found, name->buf.p, name->buf.len);
			found[name->buf.len] = '\0';
			named = strncmp(found, uri, strlen(uri)) == 0 &&
				(found[strlen(uri)] == '\0' || found[strlen(uri)] == ':');
		}
	}
	mbedtls_x509_crt_free(&certificate);
	return named;
}

bool certificate_key(UA_ByteString der, const struct settings *s)
{
	mbedtls_x509_crt certificate;
	bool fits = false;
	mbedtls_x509_crt_init(&certificate);
	if (mbedtls_x509_crt_parse(&certificate, der.data, der.length) == 0 &&
	    mbedtls_pk_can_do(&certificate.pk, MBEDTLS_PK_RSA)) {
		size_t bits = mbedtls_pk_get_bitlen(&certificate.pk);
		fits = bits >= s->key_bits && bits <= s->key_bits_max;
	}
	mbedtls_x509_crt_free(&certificate);
	return fits;
}
