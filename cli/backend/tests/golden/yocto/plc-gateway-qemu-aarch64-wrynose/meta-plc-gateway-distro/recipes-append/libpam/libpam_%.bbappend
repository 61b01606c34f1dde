# who logged in, who was refused and each session are records
PACKAGECONFIG:append:plc-gateway = " audit"
