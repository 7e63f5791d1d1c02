# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_staplegun_global_optspecs
    string join \n h/help V/version
end

function __fish_staplegun_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_staplegun_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_staplegun_using_subcommand
    set -l cmd (__fish_staplegun_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c staplegun -n "__fish_staplegun_needs_command" -s h -l help -d 'Print help'
complete -c staplegun -n "__fish_staplegun_needs_command" -s V -l version -d 'Print version'
complete -c staplegun -n "__fish_staplegun_needs_command" -f -a "scan" -d 'Show what of this machine speaks TLS, what it staples, and what to do next'
complete -c staplegun -n "__fish_staplegun_needs_command" -f -a "run" -d 'Start a program that staples'
complete -c staplegun -n "__fish_staplegun_needs_command" -f -a "agent" -d 'Keep a valid response for every certificate of a store'
complete -c staplegun -n "__fish_staplegun_needs_command" -f -a "fetch" -d 'Fetch the responses for certificates once'
complete -c staplegun -n "__fish_staplegun_needs_command" -f -a "add" -d 'Name certificates that the agent is to look after'
complete -c staplegun -n "__fish_staplegun_needs_command" -f -a "remove" -d 'Drop certificates from the list and the store'
complete -c staplegun -n "__fish_staplegun_needs_command" -f -a "status" -d 'Show what a store holds and what went wrong'
complete -c staplegun -n "__fish_staplegun_needs_command" -f -a "fleet" -d 'Show what a fleet shares, and whether it judges well'
complete -c staplegun -n "__fish_staplegun_needs_command" -f -a "enable" -d 'Bring the library into services of systemd'
complete -c staplegun -n "__fish_staplegun_needs_command" -f -a "disable" -d 'Take the library out of services again'
complete -c staplegun -n "__fish_staplegun_needs_command" -f -a "check" -d 'Tell whether a program can be reached, and why not'
complete -c staplegun -n "__fish_staplegun_needs_command" -f -a "probe" -d 'Tell what a client sees of a server\'s staple'
complete -c staplegun -n "__fish_staplegun_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c staplegun -n "__fish_staplegun_using_subcommand scan" -l probe -d 'Connect to this port as well; its protocol is that of its number or program, `tls`, or one that begins without TLS: smtp, imap, pop3, ftp, postgres, mysql, ldap, xmpp' -r
complete -c staplegun -n "__fish_staplegun_using_subcommand scan" -l timeout -d 'How long each port may take' -r
complete -c staplegun -n "__fish_staplegun_using_subcommand scan" -l warn-before -d 'Complain of a response that ends within this time' -r
complete -c staplegun -n "__fish_staplegun_using_subcommand scan" -l lib -d 'The library, if it is not where it was installed' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand scan" -l dir -l directory -d 'The store; by default the system\'s for root, else the user\'s own' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand scan" -l config -d 'The configuration of the agent [default: /etc/staplegun/agent.toml for the system\'s store]' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand scan" -l json -d 'Print JSON'
complete -c staplegun -n "__fish_staplegun_using_subcommand scan" -s h -l help -d 'Print help'
complete -c staplegun -n "__fish_staplegun_using_subcommand run" -l cert -d 'Fetch the response for this certificate (PEM, leaf first) before the program starts' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand run" -l wait -d 'How long the program may wait for responses when it loads a certificate, and --cert for the first fetch (which waits 5s by default)' -r
complete -c staplegun -n "__fish_staplegun_using_subcommand run" -l client -d 'What TLS clients in the program do about the staples that they get' -r -f -a "off\t'Nothing'
report\t'Ask for a staple and log what is wrong with it'
verify\t'Fail on a bad staple, accept none'
require\t'Fail on a bad staple and on none'"
complete -c staplegun -n "__fish_staplegun_using_subcommand run" -l dir -l directory -d 'The store, instead of the system\'s (if its agent runs) or this user\'s' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand run" -l log -d 'Where the library logs: off, stderr, syslog, or a file by its absolute path' -r
complete -c staplegun -n "__fish_staplegun_using_subcommand run" -l lib -d 'The library, if it is not where it was installed' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand run" -l force -d 'Start the program even if the library cannot reach it; without the library, if musl would end the program for it'
complete -c staplegun -n "__fish_staplegun_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c staplegun -n "__fish_staplegun_using_subcommand agent" -l dir -l directory -d 'The store; by default the system\'s for root, else the user\'s own' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand agent" -l config -d 'The configuration of the agent [default: /etc/staplegun/agent.toml for the system\'s store]' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand agent" -l user -d 'Run as this user once the live map is made; only if started by root' -r
complete -c staplegun -n "__fish_staplegun_using_subcommand agent" -l watch-pid -d 'Live as long as this process, and then as long as the map is in use' -r
complete -c staplegun -n "__fish_staplegun_using_subcommand agent" -l responder -d 'Ask URL where a certificate\'s responder begins with PREFIX; for an issuer: sha256:HEX=URL' -r
complete -c staplegun -n "__fish_staplegun_using_subcommand agent" -l fleet -d 'Share what was fetched through this Redis or Valkey: redis://HOST[:PORT], rediss://, redis+sentinel://HOST,HOST/NAME' -r
complete -c staplegun -n "__fish_staplegun_using_subcommand agent" -l metrics-file -d 'Write metrics for Prometheus\' textfile collector' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand agent" -l metrics-port -d 'Serve the page and metrics on this port of 127.0.0.1; 0: any' -r
complete -c staplegun -n "__fish_staplegun_using_subcommand agent" -l fill -d 'Fill the live map from the store, and end'
complete -c staplegun -n "__fish_staplegun_using_subcommand agent" -l once -d 'Fill the live map, ask every responder that is due once, and end'
complete -c staplegun -n "__fish_staplegun_using_subcommand agent" -l quiet -d 'Log nothing'
complete -c staplegun -n "__fish_staplegun_using_subcommand agent" -l verbose -d 'Log every step as well'
complete -c staplegun -n "__fish_staplegun_using_subcommand agent" -s h -l help -d 'Print help'
complete -c staplegun -n "__fish_staplegun_using_subcommand fetch" -l issuer -d 'The certificate of the issuer, if it is not in the same file' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand fetch" -l responder -d 'Ask URL where a certificate\'s responder begins with PREFIX; for an issuer: sha256:HEX=URL' -r
complete -c staplegun -n "__fish_staplegun_using_subcommand fetch" -s o -l output -d 'Write the response (DER) to this file, unless a better one is there' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand fetch" -l dir -l directory -d 'The store; by default the system\'s for root, else the user\'s own' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand fetch" -l config -d 'The configuration of the agent [default: /etc/staplegun/agent.toml for the system\'s store]' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand fetch" -l even-revoked -d 'Write it there even if it says "revoked"'
complete -c staplegun -n "__fish_staplegun_using_subcommand fetch" -l no-store -d 'Do not keep the responses in the store'
complete -c staplegun -n "__fish_staplegun_using_subcommand fetch" -l json -d 'Tell it in JSON'
complete -c staplegun -n "__fish_staplegun_using_subcommand fetch" -s h -l help -d 'Print help'
complete -c staplegun -n "__fish_staplegun_using_subcommand add" -l wait -d 'How long to wait until the agent has an answer for each, so that a server that loads it then staples at once' -r
complete -c staplegun -n "__fish_staplegun_using_subcommand add" -l dir -l directory -d 'The store; by default the system\'s for root, else the user\'s own' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand add" -l config -d 'The configuration of the agent [default: /etc/staplegun/agent.toml for the system\'s store]' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand add" -l renewed -d 'They were renewed: tell the agent now, and name nothing; without a file, what was named and only root can read'
complete -c staplegun -n "__fish_staplegun_using_subcommand add" -s h -l help -d 'Print help'
complete -c staplegun -n "__fish_staplegun_using_subcommand remove" -l dir -l directory -d 'The store; by default the system\'s for root, else the user\'s own' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand remove" -l config -d 'The configuration of the agent [default: /etc/staplegun/agent.toml for the system\'s store]' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand remove" -s h -l help -d 'Print help'
complete -c staplegun -n "__fish_staplegun_using_subcommand status" -l watch -d 'Show it again and again, with this pause: those first for which something is to be done' -r
complete -c staplegun -n "__fish_staplegun_using_subcommand status" -l dir -l directory -d 'The store; by default the system\'s for root, else the user\'s own' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand status" -l json -d 'Tell it in JSON'
complete -c staplegun -n "__fish_staplegun_using_subcommand status" -s h -l help -d 'Print help'
complete -c staplegun -n "__fish_staplegun_using_subcommand fleet" -l fleet -d 'The store; by default that of the configuration' -r
complete -c staplegun -n "__fish_staplegun_using_subcommand fleet" -l dir -l directory -d 'The store; by default the system\'s for root, else the user\'s own' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand fleet" -l config -d 'The configuration of the agent [default: /etc/staplegun/agent.toml for the system\'s store]' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand fleet" -l json -d 'Tell it in JSON'
complete -c staplegun -n "__fish_staplegun_using_subcommand fleet" -s h -l help -d 'Print help'
complete -c staplegun -n "__fish_staplegun_using_subcommand enable" -l client -d 'What TLS clients in the service do about the staples that they get, from now on. It is restarted, and all is taken back unless the policy is in force in its processes then' -r -f -a "off\t'Nothing'
report\t'Ask for a staple and log what is wrong with it'
verify\t'Fail on a bad staple, accept none'
require\t'Fail on a bad staple and on none'"
complete -c staplegun -n "__fish_staplegun_using_subcommand enable" -l lib -d 'The library, if it is not where it was installed' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand enable" -l dry-run -d 'Only tell what would be done'
complete -c staplegun -n "__fish_staplegun_using_subcommand enable" -l restart -d 'Restart those that run, since a program gets its environment when it starts'
complete -c staplegun -n "__fish_staplegun_using_subcommand enable" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c staplegun -n "__fish_staplegun_using_subcommand disable" -l all -d 'All that are enabled'
complete -c staplegun -n "__fish_staplegun_using_subcommand disable" -l dry-run -d 'Only tell what would be done'
complete -c staplegun -n "__fish_staplegun_using_subcommand disable" -l restart -d 'Restart those that run'
complete -c staplegun -n "__fish_staplegun_using_subcommand disable" -s h -l help -d 'Print help'
complete -c staplegun -n "__fish_staplegun_using_subcommand check" -l pid -d 'A running process instead' -r
complete -c staplegun -n "__fish_staplegun_using_subcommand check" -l lib -d 'The library, if it is not where it was installed' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand check" -l json -d 'Print JSON'
complete -c staplegun -n "__fish_staplegun_using_subcommand check" -s h -l help -d 'Print help'
complete -c staplegun -n "__fish_staplegun_using_subcommand probe" -l starttls -d 'Speak this protocol until TLS begins' -r -f -a "smtp\t'RFC 3207'
imap\t'RFC 9051'
pop3\t'RFC 2595'
ftp\t'RFC 4217'
postgres\t'PostgreSQL\'s SSLRequest'
mysql\t'MySQL\'s and MariaDB\'s SSLRequest'
ldap\t'RFC 4511'
xmpp\t'RFC 6120, as a client'"
complete -c staplegun -n "__fish_staplegun_using_subcommand probe" -l servername -d 'The name to ask for and to find in the certificate, if it is not HOST' -r
complete -c staplegun -n "__fish_staplegun_using_subcommand probe" -l cafile -d 'Trust the certificates in this PEM file instead of the system\'s' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand probe" -l tls -d 'Allow this version of TLS only' -r -f -a "1.2\t'TLS 1.2'
1.3\t'TLS 1.3'"
complete -c staplegun -n "__fish_staplegun_using_subcommand probe" -l timeout -d 'How long everything together may take' -r
complete -c staplegun -n "__fish_staplegun_using_subcommand probe" -l warn-before -d 'Complain of a response that ends within this time' -r
complete -c staplegun -n "__fish_staplegun_using_subcommand probe" -l config -d 'The configuration of the agent [default: /etc/staplegun/agent.toml for the system\'s store]' -r -F
complete -c staplegun -n "__fish_staplegun_using_subcommand probe" -l insecure -d 'Judge the staple of a certificate that is not trusted as well'
complete -c staplegun -n "__fish_staplegun_using_subcommand probe" -l json -d 'Print JSON'
complete -c staplegun -n "__fish_staplegun_using_subcommand probe" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c staplegun -n "__fish_staplegun_using_subcommand help; and not __fish_seen_subcommand_from scan run agent fetch add remove status fleet enable disable check probe help" -f -a "scan" -d 'Show what of this machine speaks TLS, what it staples, and what to do next'
complete -c staplegun -n "__fish_staplegun_using_subcommand help; and not __fish_seen_subcommand_from scan run agent fetch add remove status fleet enable disable check probe help" -f -a "run" -d 'Start a program that staples'
complete -c staplegun -n "__fish_staplegun_using_subcommand help; and not __fish_seen_subcommand_from scan run agent fetch add remove status fleet enable disable check probe help" -f -a "agent" -d 'Keep a valid response for every certificate of a store'
complete -c staplegun -n "__fish_staplegun_using_subcommand help; and not __fish_seen_subcommand_from scan run agent fetch add remove status fleet enable disable check probe help" -f -a "fetch" -d 'Fetch the responses for certificates once'
complete -c staplegun -n "__fish_staplegun_using_subcommand help; and not __fish_seen_subcommand_from scan run agent fetch add remove status fleet enable disable check probe help" -f -a "add" -d 'Name certificates that the agent is to look after'
complete -c staplegun -n "__fish_staplegun_using_subcommand help; and not __fish_seen_subcommand_from scan run agent fetch add remove status fleet enable disable check probe help" -f -a "remove" -d 'Drop certificates from the list and the store'
complete -c staplegun -n "__fish_staplegun_using_subcommand help; and not __fish_seen_subcommand_from scan run agent fetch add remove status fleet enable disable check probe help" -f -a "status" -d 'Show what a store holds and what went wrong'
complete -c staplegun -n "__fish_staplegun_using_subcommand help; and not __fish_seen_subcommand_from scan run agent fetch add remove status fleet enable disable check probe help" -f -a "fleet" -d 'Show what a fleet shares, and whether it judges well'
complete -c staplegun -n "__fish_staplegun_using_subcommand help; and not __fish_seen_subcommand_from scan run agent fetch add remove status fleet enable disable check probe help" -f -a "enable" -d 'Bring the library into services of systemd'
complete -c staplegun -n "__fish_staplegun_using_subcommand help; and not __fish_seen_subcommand_from scan run agent fetch add remove status fleet enable disable check probe help" -f -a "disable" -d 'Take the library out of services again'
complete -c staplegun -n "__fish_staplegun_using_subcommand help; and not __fish_seen_subcommand_from scan run agent fetch add remove status fleet enable disable check probe help" -f -a "check" -d 'Tell whether a program can be reached, and why not'
complete -c staplegun -n "__fish_staplegun_using_subcommand help; and not __fish_seen_subcommand_from scan run agent fetch add remove status fleet enable disable check probe help" -f -a "probe" -d 'Tell what a client sees of a server\'s staple'
complete -c staplegun -n "__fish_staplegun_using_subcommand help; and not __fish_seen_subcommand_from scan run agent fetch add remove status fleet enable disable check probe help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
