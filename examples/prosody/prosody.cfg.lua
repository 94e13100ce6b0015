-- Prosody with csw in front of a component that carries messages to WhatsApp: a whole configuration.
--
-- Your users write to <number>@whatsapp.example.com. What the customer service window does not permit comes back to
-- them as a stanza error, and never reaches the component.
--
-- Debian runs Prosody as the user prosody, which owns the store and reads csw.toml; nobody else needs to:
--
--   install -d -m 700 -o prosody -g prosody /var/lib/csw
--   install -m 640 -g prosody csw.toml /etc/csw.toml
--
-- The component's secret stands in this file, which Debian keeps at root:prosody 0640 for that reason. Where nginx or
-- another gateway of this host shares the store, give /var/lib/csw to a group of both, with mode 2770.

-- Where `make install` put mod_csw.lua. Debian's Lua 5.4 finds the rest of csw under /usr/local by itself.
plugin_paths = { "/usr/local/lib/prosody/modules" }

pidfile = "/run/prosody/prosody.pid"

-- csw logs one line for each decision, at info and with no customer's number in it. At debug Prosody itself logs whole
-- addresses, and at warn those of messages that come while the component is away.
log = {
  info = "/var/log/prosody/prosody.log",
  error = "/var/log/prosody/prosody.err",
}

modules_enabled = {
  "admin_shell", -- prosodyctl shell module reload csw whatsapp.example.com
  "carbons",
  "disco",
  "roster",
  "saslauth",
  "tls",
}

-- Nobody but this server's own users is to write by the number.
modules_disabled = { "s2s" }

certificates = "certs"
authentication = "internal_hashed"
c2s_require_encryption = true

-- Where the component connects to (XEP-0114).
component_ports = { 5347 }
component_interfaces = { "127.0.0.1" }

VirtualHost "example.com"

Component "whatsapp.example.com"
  component_secret = "the component's own"

  -- In the component's section, never above: the component is what it guards.
  modules_enabled = { "csw" }

  csw_config = "/etc/csw.toml"

  -- The phone number id that users write from: one for all, or a map of addresses and domains, "*" being the others:
  --   csw_business = { ["sales@example.com"] = "106540352242922", ["*"] = "200000000000001" }
  csw_business = "106540352242922"

  -- Messages with <template xmlns="urn:csw:whatsapp" name="..." language="..."/> are templates, whatever their body.
  -- Set it only where your component sends the template then, and not the body.
  csw_template_xmlns = "urn:csw:whatsapp"

  -- What messages do while csw.toml cannot be read: "closed" stops them.
  csw_fail = "closed"
