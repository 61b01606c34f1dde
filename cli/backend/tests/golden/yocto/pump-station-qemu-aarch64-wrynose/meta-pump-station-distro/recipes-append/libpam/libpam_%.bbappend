# who logged in, who was refused and each session are records
PACKAGECONFIG:append:pump-station = " audit"
