# /etc/httpjail.hcl, see docs/configuration.md.

listen    = [":80"]
error_log = "/var/log/httpjail/error.log"

# The paths of error_log, types_config, access_log and jail.root are outside of
# the jail. All others are the jail's.
jail {
  root  = "/var/www"
  user  = "www-data"
  group = "www-data"
}

mpm "event" {
  pid_file = "/run/httpd.pid" # /var/www/run/httpd.pid outside
}

site {
  document_root = "/htdocs" # /var/www/htdocs outside
  access_log {
    path   = "/var/log/httpjail/access.log"
    format = "combined"
  }
}
