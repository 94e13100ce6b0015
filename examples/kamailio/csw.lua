-- The routing of Kamailio with csw: /etc/kamailio/csw.lua.
--
-- A MESSAGE from the trunk is a customer's and opens their window; any other goes to WhatsApp, where the window permits
-- it. From or the request URI name the business by its phone number id, or by its display number where csw.toml has it.

local csw = require "csw.kamailio"


-- Where messages to WhatsApp go, and the addresses that the trunk's own messages come from.
local TRUNK = "sip:203.0.113.7:5060;transport=udp"
local TRUNK_ADDRESSES = { ["203.0.113.7"] = true }

-- Who gets what customers write. nil: Kamailio answers it 200, and nobody else sees it.
local APPLICATION = "sip:127.0.0.1:5080;transport=udp"

-- Your own hosts: nobody else may send.
local CLIENT_ADDRESSES = { ["127.0.0.1"] = true }


csw.setup("/etc/csw.toml", {
  -- What sends do while csw.toml itself cannot be read.
  fail = "closed",

  -- Pseudo-variables, fixed texts, or functions; these are the defaults.
  business = { send = "$fU", received = "$rU" },
  customer = { send = "$rU", received = "$fU" },

  -- X-WhatsApp-Template: order_update; language=en_US
  template = "$hdr(X-WhatsApp-Template)",

  -- Content-Type: application/x-whatsapp-template; name=order_update; language=en_US
  template_type = "application/x-whatsapp-template",

  -- For how many ms a message may hold its process until it is on disk.
  longest_wait = 2000,

  -- Whether the trunk's reply goes back once the send is on disk. Without it there is room for more messages a second,
  -- and those of the last moments before Kamailio ends may be missing in the books.
  wait_for_sends = true,
})


-- Whoever replies to a message that csw let pass.
ksr_replied = csw.replied


-- Where a message goes is said here, and not by a Route of the client's.
local function relay(destination)
  KSR.hdr.remove("Route")
  KSR.setdsturi(destination)
  if KSR.tm.t_relay() < 0 then
    KSR.sl.sl_reply_error()
  end
end


-- The name is Kamailio's.
function ksr_request_route()
  if KSR.maxfwd.process_maxfwd(10) < 0 then
    KSR.sl.sl_send_reply(483, "Too Many Hops")
    return
  end

  -- It answers itself what is malformed.
  if KSR.sanity.sanity_check(17895, 7) < 0 then
    return
  end

  if not KSR.is_MESSAGE() then
    if not KSR.is_ACK() then
      KSR.sl.sl_send_reply(405, "Method Not Allowed")
    end
    return
  end

  local source = KSR.pv.get("$si")
  if TRUNK_ADDRESSES[source] then
    if not csw.received() then
      return
    end

    if APPLICATION then
      relay(APPLICATION)
    else
      KSR.tm.t_reply(200, "OK")
    end

  elseif CLIENT_ADDRESSES[source] then
    if csw.send() then
      KSR.tm.t_on_reply("ksr_replied")
      relay(TRUNK)
    end

  else
    KSR.sl.sl_send_reply(403, "Forbidden")
  end
end
