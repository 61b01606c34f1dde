/* An OPC UA server with two values. Its security is what /etc/opcua/NAME.conf says, and nothing else: every message
 * signed and encrypted, peers and users known by certificates, nobody anonymous.
 *   plc-opcua /etc/opcua/plc.conf */
#include "settings.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <open62541/plugin/accesscontrol_default.h>
#include <open62541/plugin/pki_default.h>
#include <open62541/server.h>
#include <open62541/server_config_default.h>

static volatile UA_Boolean running = true;
static struct settings settings;
static UA_StatusCode (*verify_chain)(const UA_CertificateVerification *, const UA_ByteString *);

static void stop(int signal)
{
	(void)signal;
	running = false;
}

/* The stack looks at chain, time, revocation and usage; the key's length is ours. */
static UA_StatusCode verify_peer(const UA_CertificateVerification *trust, const UA_ByteString *certificate)
{
	UA_StatusCode status = verify_chain(trust, certificate);
	if (status == UA_STATUSCODE_GOOD && !certificate_key(*certificate, &settings))
		status = UA_STATUSCODE_BADCERTIFICATEPOLICYCHECKFAILED;
	if (status != UA_STATUSCODE_GOOD)
		fprintf(stderr, "refused a certificate: %s\n", UA_StatusCode_name(status));
	return status;
}

static UA_StatusCode trust_set(UA_CertificateVerification *verification, const char *folder, const char *issuers)
{
	struct trust trust;
	UA_StatusCode status = UA_STATUSCODE_BADCONFIGURATIONERROR;
	if (trust_read(folder, issuers, &trust)) {
		if (verification->clear)
			verification->clear(verification);
		status = UA_CertificateVerification_Trustlist(verification, trust.trusted.content, trust.trusted.count,
							      trust.issuers.content, trust.issuers.count,
							      trust.lists.content, trust.lists.count);
		verify_chain = verification->verifyCertificate;
		verification->verifyCertificate = verify_peer;
	}
	return status;
}

static UA_StatusCode policies_add(UA_ServerConfig *config, UA_ByteString *certificate, UA_ByteString *key)
{
	static const char prefix[] = "http://opcfoundation.org/UA/SecurityPolicy#";
	UA_StatusCode status = UA_STATUSCODE_GOOD;
	for (size_t i = 0; i < settings.policy_count && status == UA_STATUSCODE_GOOD; i++) {
		const char *name = settings.policies[i];
		char uri[sizeof(prefix) + sizeof(settings.policies[0])];
		if (strcmp(name, "Aes256_Sha256_RsaPss") == 0)
			status = UA_ServerConfig_addSecurityPolicyAes256Sha256RsaPss(config, certificate, key);
		else if (strcmp(name, "Aes128_Sha256_RsaOaep") == 0)
			status = UA_ServerConfig_addSecurityPolicyAes128Sha256RsaOaep(config, certificate, key);
		else
			status = UA_ServerConfig_addSecurityPolicyBasic256Sha256(config, certificate, key);
		snprintf(uri, sizeof(uri), "%s%s", prefix, name);
		if (status == UA_STATUSCODE_GOOD)
			status = UA_ServerConfig_addEndpoint(config, UA_STRING(uri), UA_MESSAGESECURITYMODE_SIGNANDENCRYPT);
	}
	/* For clients that ask for the endpoints first: no endpoint has it, and no session opens with it. */
	if (settings.discovery && status == UA_STATUSCODE_GOOD) {
		config->securityPolicyNoneDiscoveryOnly = true;
		status = UA_ServerConfig_addSecurityPolicyNone(config, certificate);
	}
	return status;
}

/* Users read. The stack's own answer to the questions below is yes. */
static UA_Byte access_level(UA_Server *server, UA_AccessControl *access, const UA_NodeId *session, void *session_context,
			    const UA_NodeId *node, void *node_context)
{
	(void)server, (void)access, (void)session, (void)session_context, (void)node, (void)node_context;
	return UA_ACCESSLEVELMASK_READ;
}

static UA_UInt32 write_mask(UA_Server *server, UA_AccessControl *access, const UA_NodeId *session, void *session_context,
			    const UA_NodeId *node, void *node_context)
{
	(void)server, (void)access, (void)session, (void)session_context, (void)node, (void)node_context;
	return 0;
}

#define REFUSE(name, type)                                                                                              \
	static UA_Boolean name(UA_Server *server, UA_AccessControl *access, const UA_NodeId *session, void *context,    \
			       const type *item)                                                                        \
	{                                                                                                               \
		(void)server, (void)access, (void)session, (void)context, (void)item;                                   \
		return false;                                                                                           \
	}
REFUSE(no_new_node, UA_AddNodesItem)
REFUSE(no_new_reference, UA_AddReferencesItem)
REFUSE(no_gone_node, UA_DeleteNodesItem)
REFUSE(no_gone_reference, UA_DeleteReferencesItem)

static void read_only(UA_AccessControl *access)
{
	access->getUserAccessLevel = access_level;
	access->getUserRightsMask = write_mask;
	access->allowAddNode = no_new_node;
	access->allowAddReference = no_new_reference;
	access->allowDeleteNode = no_gone_node;
	access->allowDeleteReference = no_gone_reference;
}

static UA_StatusCode configure(UA_ServerConfig *config)
{
	char uri[MAX_LINE];
	UA_ByteString certificate = file_read(settings.certificate), key = key_read(settings.private_key);
	UA_StatusCode status = UA_STATUSCODE_BADCONFIGURATIONERROR;
	if (!certificate.length || !key.length)
		goto out;
	if (!certificate_uri(certificate, settings.application_uri, uri, sizeof(uri)) ||
	    !certificate_key(certificate, &settings)) {
		fprintf(stderr, "%s: not of `%s`, or its key has the wrong length\n", settings.certificate,
			settings.application_uri);
		goto out;
	}
	status = UA_ServerConfig_setBasics_withPort(config, settings.port);
	UA_String_clear(&config->applicationDescription.applicationUri);
	config->applicationDescription.applicationUri = UA_STRING_ALLOC(uri);
	config->maxSecureChannels = 16;
	config->maxSessions = 16;
	config->tcpMaxMsgSize = 1 << 20;
	config->tcpMaxChunks = 64;
	if (status == UA_STATUSCODE_GOOD)
		status = trust_set(&config->secureChannelPKI, settings.trusted, settings.issuer);
	if (status == UA_STATUSCODE_GOOD)
		status = trust_set(&config->sessionPKI, settings.user_trusted, settings.user_issuer);
	if (status == UA_STATUSCODE_GOOD)
		status = policies_add(config, &certificate, &key);
	/* No user names, nobody anonymous: what is left are certificates. */
	if (status == UA_STATUSCODE_GOOD)
		status = UA_AccessControl_default(config, false, NULL, 0, NULL);
	read_only(&config->accessControl);
out:
	explicit_bzero(key.data, key.length);
	UA_ByteString_clear(&key);
	UA_ByteString_clear(&certificate);
	return status;
}

static void variable_add(UA_Server *server, char *name, const void *value, const UA_DataType *type)
{
	UA_VariableAttributes attributes = UA_VariableAttributes_default;
	attributes.displayName = UA_LOCALIZEDTEXT("en", name);
	attributes.dataType = type->typeId;
	attributes.accessLevel = UA_ACCESSLEVELMASK_READ;
	UA_Variant_setScalarCopy(&attributes.value, value, type);
	UA_Server_addVariableNode(server, UA_NODEID_STRING(1, name), UA_NODEID_NUMERIC(0, UA_NS0ID_OBJECTSFOLDER), UA_NODEID_NUMERIC(0, UA_NS0ID_ORGANIZES),
				  UA_QUALIFIEDNAME(1, name), UA_NODEID_NUMERIC(0, UA_NS0ID_BASEDATAVARIABLETYPE), attributes, NULL, NULL);
	UA_Variant_clear(&attributes.value);
}

/* Counts seconds, as a sign of life. */
static void tick(UA_Server *server, void *data)
{
	static UA_UInt32 seconds;
	UA_Variant value;
	(void)data;
	seconds++;
	UA_Variant_setScalar(&value, &seconds, &UA_TYPES[UA_TYPES_UINT32]);
	UA_Server_writeValue(server, UA_NODEID_STRING(1, "seconds"), value);
}

int main(int argc, char **argv)
{
	const UA_UInt32 zero = 0;
	const UA_Double pressure = 4.2;
	UA_ServerConfig config;
	UA_Server *server;
	UA_StatusCode status;
	if (argc != 2) {
		fprintf(stderr, "usage: plc-opcua SETTINGS\n");
		return EXIT_FAILURE;
	}
	if (!settings_read(argv[1], &settings) || !settings.server)
		return EXIT_FAILURE;
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	memset(&config, 0, sizeof(config));
	status = configure(&config);
	if (status != UA_STATUSCODE_GOOD) {
		fprintf(stderr, "%s: %s\n", argv[1], UA_StatusCode_name(status));
		UA_ServerConfig_clean(&config);
		return EXIT_FAILURE;
	}
	server = UA_Server_newWithConfig(&config);
	if (!server)
		return EXIT_FAILURE;
	variable_add(server, "seconds", &zero, &UA_TYPES[UA_TYPES_UINT32]);
	variable_add(server, "pressure", &pressure, &UA_TYPES[UA_TYPES_DOUBLE]);
	UA_Server_addRepeatedCallback(server, tick, NULL, 1000.0, NULL);
	status = UA_Server_run(server, &running);
	UA_Server_delete(server);
	return status == UA_STATUSCODE_GOOD ? EXIT_SUCCESS : EXIT_FAILURE;
}
