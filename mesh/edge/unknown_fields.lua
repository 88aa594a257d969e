-- Refuses JSON with fields the contract does not know: Envoy's transcoder, which comes after this, would drop them and
-- say nothing (github.com/envoyproxy/envoy/issues/46623).
--
-- The table MESSAGES is generated and stands in front of this text: for each message its fields, by both spellings, and
-- for each field the message it holds, or ''.

local DEEPEST = 100

-- Walks the JSON value at `at`, which is to become a `message` ('' for what is not looked into). Returns the position
-- behind it, or nothing and the complaint. Broken JSON ends the walk without one: the transcoder says best what is wrong.
local function walk(text, at, message, path, depth)
  if depth > DEEPEST then
    return nil, 'nested deeper than ' .. DEEPEST .. ' levels at ' .. path
  end
  local kind
  kind, at = text:match('^%s*(.)()', at)

  if kind == '"' then
    -- Jumps from quote to quote; one that ends the string has an even number of backslashes in front of it.
    while at do
      local slashes, next = text:match('^[^"\\]*(\\*)()', at)
      if #slashes % 2 == 1 then
        at = next + 1
      elseif text:sub(next, next) == '"' then
        return next + 1
      else
        at = next <= #text and next or nil
      end
    end
    return nil

  elseif kind == '[' then
    if text:match('^%s*%]', at) then
      return text:match('^%s*%]()', at)
    end
    local index, separator = 0, nil
    repeat
      local complaint
      at, complaint = walk(text, at, message, path .. '[' .. index .. ']', depth + 1)
      if not at then return nil, complaint end
      separator, at = text:match('^%s*([,%]])()', at)
      index = index + 1
    until separator ~= ','
    return at

  elseif kind == '{' then
    if text:match('^%s*}', at) then
      return text:match('^%s*}()', at)
    end
    local fields, separator = MESSAGES[message], nil
    repeat
      local name, value = text:match('^%s*"([^"]*)"%s*:()', at)
      if not name then return nil end
      local here = path == '' and name or path .. '.' .. name
      if fields and not fields[name] then
        return nil, 'unknown field "' .. here .. '" in ' .. message
      end
      local complaint
      at, complaint = walk(text, value, fields and fields[name] or '', here, depth + 1)
      if not at then return nil, complaint end
      separator, at = text:match('^%s*([,}])()', at)
    until separator ~= ','
    return at
  end

  return kind and text:match('^[%w.+-]*()', at)
end

-- A request whose route names its message: one JSON object in the body.
function envoy_on_request(request)
  local message = request:filterContext():get('request')
  local body = message and request:body()
  if not body or body:length() == 0 then
    return
  end
  local _, complaint = walk(body:getBytes(0, body:length()), 1, message, '', 0)
  if complaint then
    request:respond({[':status'] = '400'}, complaint)
  end
end
