/* A token that is locked: as much of PKCS#11 2.40 as a token needs to be found, and to refuse a login with CKR_PIN_LOCKED. SoftHSM
 * never locks itself. Compiled by the tests (tokens.rs). */
#include <string.h>

typedef unsigned long number;
typedef unsigned char byte;
typedef void (*function)(void);

enum { OK = 0x0, NOT_SUPPORTED = 0x54, PIN_LOCKED = 0xa4 };
/* CKF_LOGIN_REQUIRED, CKF_USER_PIN_INITIALIZED, CKF_TOKEN_INITIALIZED, CKF_USER_PIN_LOCKED */
enum { FLAGS = 0x4 | 0x8 | 0x400 | 0x40000 };

/* CK_TOKEN_INFO */
struct token {
	byte label[32], maker[32], model[16], serial[16];
	number flags, sessions[4], pin[2], memory[4];
	byte hardware[2], firmware[2], time[16];
};

/* CK_FUNCTION_LIST: a version, then the functions in the order of the standard. */
struct list {
	byte version[2];
	function all[68];
};

static number unsupported(void) { return NOT_SUPPORTED; }
static number initialize(void *arguments) { (void)arguments; return OK; }
static number finalize(void *reserved) { (void)reserved; return OK; }

static number slots(byte with_token, number *list, number *count)
{
	(void)with_token;
	if (list)
		list[0] = 0;
	*count = 1;
	return OK;
}

static number token(number slot, struct token *info)
{
	(void)slot;
	memset(info, 0, sizeof *info);
	memset(info->label, ' ', sizeof info->label + sizeof info->maker + sizeof info->model + sizeof info->serial);
	memcpy(info->label, "fab", 3);
	info->flags = FLAGS;
	return OK;
}

static number open_session(number slot, number flags, void *application, void *notify, number *session)
{
	(void)slot, (void)flags, (void)application, (void)notify;
	*session = 1;
	return OK;
}

static number close_session(number session) { (void)session; return OK; }

static number login(number session, number user, byte *pin, number bytes)
{
	(void)session, (void)user, (void)pin, (void)bytes;
	return PIN_LOCKED;
}

number C_GetFunctionList(struct list **list)
{
	static struct list functions = { .version = { 2, 40 } };
	for (int at = 0; at < 68; at++)
		functions.all[at] = (function)unsupported;
	functions.all[0] = (function)initialize;
	functions.all[1] = (function)finalize;
	functions.all[3] = (function)C_GetFunctionList;
	functions.all[4] = (function)slots;
	functions.all[6] = (function)token;
	functions.all[12] = (function)open_session;
	functions.all[13] = (function)close_session;
	functions.all[18] = (function)login;
	*list = &functions;
	return OK;
}
