/* A Modbus/TCP server with registers that can be read, and never be written. Modbus has no security of its own: the
 * firewall lets it pass through a tunnel only.
 *   plc-modbus ADDRESS PORT        (an empty address or `::`: every one) */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

#include <modbus/modbus.h>

#define REGISTERS 16
#define CLIENTS 8

static volatile sig_atomic_t running = 1;

static void stop(int signal)
{
	(void)signal;
	running = 0;
}

/* Functions that only read (Modbus Application Protocol 1.1b3, 6.1 to 6.4). */
static int reads(int function)
{
	return function >= MODBUS_FC_READ_COILS && function <= MODBUS_FC_READ_INPUT_REGISTERS;
}

/* One request of a client; whether it stays. */
static int serve(modbus_t *context, int client, modbus_mapping_t *map)
{
	uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
	int length, function;
	modbus_set_socket(context, client);
	length = modbus_receive(context, query);
	if (length < 0)
		return 0;
	if (length == 0)
		return 1;
	map->tab_registers[1]++;
	function = query[modbus_get_header_length(context)];
	if (reads(function))
		return modbus_reply(context, query, length, map) >= 0;
	fprintf(stderr, "refused function %d\n", function);
	return modbus_reply_exception(context, query, MODBUS_EXCEPTION_ILLEGAL_FUNCTION) >= 0;
}

static void run(modbus_t *context, int listener, modbus_mapping_t *map)
{
	int clients[CLIENTS];
	memset(clients, -1, sizeof(clients));
	while (running) {
		fd_set ready;
		int last = listener;
		FD_ZERO(&ready);
		FD_SET(listener, &ready);
		for (size_t i = 0; i < CLIENTS; i++) {
			if (clients[i] >= 0)
				FD_SET(clients[i], &ready);
			if (clients[i] > last)
				last = clients[i];
		}
		if (select(last + 1, &ready, NULL, NULL, NULL) < 0)
			continue;
		for (size_t i = 0; i < CLIENTS; i++) {
			if (clients[i] >= 0 && FD_ISSET(clients[i], &ready) && !serve(context, clients[i], map)) {
				close(clients[i]);
				clients[i] = -1;
			}
		}
		if (FD_ISSET(listener, &ready)) {
			int client = modbus_tcp_pi_accept(context, &listener);
			size_t i = 0;
			while (i < CLIENTS && clients[i] >= 0)
				i++;
			if (i < CLIENTS && client < FD_SETSIZE)
				clients[i] = client;
			else if (client >= 0)
				close(client);
		}
	}
}

int main(int argc, char **argv)
{
	modbus_t *context;
	modbus_mapping_t *map;
	int listener;
	if (argc != 3) {
		fprintf(stderr, "usage: plc-modbus ADDRESS PORT\n");
		return EXIT_FAILURE;
	}
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	signal(SIGPIPE, SIG_IGN);
	context = modbus_new_tcp_pi(*argv[1] ? argv[1] : NULL, argv[2]);
	map = modbus_mapping_new(0, 0, REGISTERS, REGISTERS);
	if (!context || !map || modbus_set_indication_timeout(context, 5, 0) != 0)
		return EXIT_FAILURE;
	map->tab_registers[0] = 0x4657;
	listener = modbus_tcp_pi_listen(context, CLIENTS);
	if (listener < 0) {
		fprintf(stderr, "%s port %s: %s\n", argv[1], argv[2], modbus_strerror(errno));
		return EXIT_FAILURE;
	}
	run(context, listener, map);
	close(listener);
	modbus_mapping_free(map);
	modbus_free(context);
	return EXIT_SUCCESS;
}
