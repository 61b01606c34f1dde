/* Reads one value of an OPC UA server, and says which security was negotiated.
 *   opcua-read SETTINGS opc.tcp://HOST:PORT SERVER.der USER.der USER.pem NODE
 * The server's certificate is known beforehand, so that nothing is asked without security. Two words in the place of
 * USER.der show that a server refuses: `anonymous`, and `none` for neither user nor security. */
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <open62541/client.h>
#include <open62541/client_config_default.h>
#include <open62541/client_highlevel.h>
#include <open62541/plugin/pki_default.h>

#define PREFIX "http://opcfoundation.org/UA/SecurityPolicy#"

static struct settings settings;

static UA_StatusCode secure(UA_ClientConfig *config, const char *server_file)
{
	char uri[MAX_LINE], policy[sizeof(PREFIX) + sizeof(settings.policies[0])];
	struct trust trust;
	UA_ByteString server = file_read(server_file), own = file_read(settings.certificate);
	UA_ByteString key = key_read(settings.private_key);
	UA_StatusCode status;
	if (!server.length || !own.length || !key.length || !trust_read(settings.trusted, settings.issuer, &trust))
		return UA_STATUSCODE_BADCONFIGURATIONERROR;
	if (!certificate_uri(server, settings.peer_uri, uri, sizeof(uri)) || !certificate_key(server, &settings)) {
		fprintf(stderr, "%s: not of `%s`, or its key has the wrong length\n", server_file, settings.peer_uri);
		return UA_STATUSCODE_BADCERTIFICATEURIINVALID;
	}
	config->endpoint.server.applicationUri = UA_STRING_ALLOC(uri);
	if (!certificate_uri(own, "urn", uri, sizeof(uri)))
		return UA_STATUSCODE_BADCERTIFICATEURIINVALID;
	status = UA_ClientConfig_setDefaultEncryption(config, own, key, trust.trusted.content, trust.trusted.count,
						      trust.lists.content, trust.lists.count);
	explicit_bzero(key.data, key.length);
	if (status != UA_STATUSCODE_GOOD)
		return status;
	config->certificateVerification.clear(&config->certificateVerification);
	status = UA_CertificateVerification_Trustlist(&config->certificateVerification, trust.trusted.content,
						      trust.trusted.count, trust.issuers.content, trust.issuers.count,
						      trust.lists.content, trust.lists.count);
	UA_String_clear(&config->clientDescription.applicationUri);
	config->clientDescription.applicationUri = UA_STRING_ALLOC(uri);
	config->securityMode = UA_MESSAGESECURITYMODE_SIGNANDENCRYPT;
	snprintf(policy, sizeof(policy), PREFIX "%s", settings.policies[0]);
	config->securityPolicyUri = UA_STRING_ALLOC(policy);
	config->endpoint.serverCertificate = server;
	config->endpoint.securityMode = config->securityMode;
	config->endpoint.securityPolicyUri = UA_STRING_ALLOC(policy);
	return status;
}

/* The way the user proves who they are, as the server names it: no endpoint is asked for it. */
static UA_StatusCode user(UA_ClientConfig *config, const char *certificate_file, const char *key_file)
{
	bool anonymous = strcmp(certificate_file, "anonymous") == 0 || strcmp(certificate_file, "none") == 0;
	char id[MAX_LINE], policy[MAX_LINE];
	UA_ByteString certificate, key;
	UA_StatusCode status = UA_STATUSCODE_GOOD;
	UA_UserTokenPolicy *token = UA_UserTokenPolicy_new();
	if (!token)
		return UA_STATUSCODE_BADOUTOFMEMORY;
	config->endpoint.userIdentityTokens = token;
	config->endpoint.userIdentityTokensSize = 1;
	snprintf(policy, sizeof(policy), "%.*s", (int)config->endpoint.securityPolicyUri.length,
		 (const char *)config->endpoint.securityPolicyUri.data);
	snprintf(id, sizeof(id), "open62541-%s-policy%s", anonymous ? "anonymous" : "certificate", strchr(policy, '#'));
	token->tokenType = anonymous ? UA_USERTOKENTYPE_ANONYMOUS : UA_USERTOKENTYPE_CERTIFICATE;
	token->policyId = UA_STRING_ALLOC(id);
	token->securityPolicyUri = UA_STRING_ALLOC(policy);
	if (anonymous)
		return status;
	certificate = file_read(certificate_file);
	key = key_read(key_file);
	if (!certificate.length || !key.length)
		return UA_STATUSCODE_BADCONFIGURATIONERROR;
	status = UA_ClientConfig_setAuthenticationCert(config, certificate, key);
	explicit_bzero(key.data, key.length);
	return status;
}

static void print(const UA_Variant *value)
{
	UA_String text = UA_STRING_NULL;
	if (UA_print(value->data, value->type, &text) == UA_STATUSCODE_GOOD)
		printf("%.*s\n", (int)text.length, (const char *)text.data);
	UA_String_clear(&text);
}

/* Read from the channel, not from the settings. */
static void negotiated(UA_Client *client)
{
	UA_String policy;
	UA_MessageSecurityMode mode;
	if (UA_Client_getConnectionAttribute_scalar(client, UA_QUALIFIEDNAME(0, "securityPolicyUri"),
						    &UA_TYPES[UA_TYPES_STRING], &policy) == UA_STATUSCODE_GOOD)
		printf("policy %.*s\n", (int)policy.length, (const char *)policy.data);
	if (UA_Client_getConnectionAttribute_scalar(client, UA_QUALIFIEDNAME(0, "securityMode"),
						    &UA_TYPES[UA_TYPES_MESSAGESECURITYMODE], &mode) == UA_STATUSCODE_GOOD)
		printf("mode %s\n", mode == UA_MESSAGESECURITYMODE_SIGNANDENCRYPT ? "SignAndEncrypt" : "another");
}

int main(int argc, char **argv)
{
	UA_Variant value;
	UA_Client *client;
	UA_ClientConfig *config;
	UA_StatusCode status = UA_STATUSCODE_GOOD;
	if (argc != 7) {
		fprintf(stderr, "usage: opcua-read SETTINGS URL SERVER.der USER.der USER.pem NODE\n");
		return EXIT_FAILURE;
	}
	if (!settings_read(argv[1], &settings) || settings.server)
		return EXIT_FAILURE;
	client = UA_Client_new();
	config = UA_Client_getConfig(client);
	config->endpoint.endpointUrl = UA_STRING_ALLOC(argv[2]);
	config->endpoint.transportProfileUri =
		UA_STRING_ALLOC("http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary");
	if (strcmp(argv[4], "none") == 0) {
		status = UA_ClientConfig_setDefault(config);
		config->endpoint.securityMode = UA_MESSAGESECURITYMODE_NONE;
		config->endpoint.securityPolicyUri = UA_STRING_ALLOC(PREFIX "None");
	} else {
		status = secure(config, argv[3]);
	}
	config->timeout = 30000;
	if (status == UA_STATUSCODE_GOOD)
		status = user(config, argv[4], argv[5]);
	if (status == UA_STATUSCODE_GOOD)
		status = UA_Client_connect(client, argv[2]);
	UA_Variant_init(&value);
	if (status == UA_STATUSCODE_GOOD)
		status = UA_Client_readValueAttribute(client, UA_NODEID_STRING(1, argv[6]), &value);
	if (status == UA_STATUSCODE_GOOD) {
		negotiated(client);
		print(&value);
	} else {
		fprintf(stderr, "refused: %s\n", UA_StatusCode_name(status));
	}
	UA_Variant_clear(&value);
	UA_Client_delete(client);
	return status == UA_STATUSCODE_GOOD ? EXIT_SUCCESS : EXIT_FAILURE;
}
