# no wg-quick, a script that runs commands of its configuration as root
PACKAGECONFIG:pump-station = ""
