-- Refuses JSON in which fields would get lost: Envoy's transcoder, which comes after this, drops those the contract does
-- not know (github.com/envoyproxy/envoy/issues/46623) and of those that come twice all but the last, and says nothing.
--
-- The table MESSAGES is generated and stands in front of this text: for each message its fields, by both spellings; for
-- each field its name in the protos and the message it holds, or ''.

local DEEPEST = 100

local walk

-- Where a walk ends for which there is no JSON. What breaks off has no complaint: the transcoder says best what is missing.
-- But it also takes what is almost JSON (names without quotes, a comma too many), so this must not pass unseen.
local function no_json(text, at)
  at = text:find('%S', at)
  return nil, at and 'no JSON at byte ' .. at
end

-- Jumps from quote to quote; one that ends the string has an even number of backslashes in front of it.
local function walk_string(text, at)
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
end

local function walk_array(text, at, message, path, depth)
  if text:match('^%s*%]', at) then
    return text:match('^%s*%]()', at)
  end
  local index, separator, behind = 0, nil, nil
  repeat
    local complaint
    at, complaint = walk(text, at, message, path .. '[' .. index .. ']', depth + 1)
    if not at then return nil, complaint end
    separator, behind = text:match('^%s*([,%]])()', at)
    if not separator then return no_json(text, at) end
    index, at = index + 1, behind
  until separator == ']'
  return at
end

local function walk_object(text, at, message, path, depth)
  if text:match('^%s*}', at) then
    return text:match('^%s*}()', at)
  end
  local fields, seen, separator, behind = MESSAGES[message], {}, nil, nil
  repeat
    local name, value = text:match('^%s*"([^"]*)"%s*:()', at)
    if not name then return no_json(text, at) end
    local here = path == '' and name or path .. '.' .. name
    local field = fields and fields[name] or {name, ''}
    if fields and not fields[name] then
      return nil, 'unknown field "' .. here .. '" in ' .. message
    end
    if seen[field[1]] then
      return nil, 'field "' .. here .. '" comes twice in ' .. message
    end
    seen[field[1]] = true
    local complaint
    at, complaint = walk(text, value, field[2], here, depth + 1)
    if not at then return nil, complaint end
    separator, behind = text:match('^%s*([,}])()', at)
    if not separator then return no_json(text, at) end
    at = behind
  until separator == '}'
  return at
end

-- Walks the JSON value at `at`, which is to become a `message` ('' for what is not looked into). Returns the position
-- behind it, or nothing and the complaint.
function walk(text, at, message, path, depth)
  if depth > DEEPEST then
    return nil, 'nested deeper than ' .. DEEPEST .. ' levels at ' .. path
  end
  local kind, behind = text:match('^%s*(["%[{])()', at)
  if kind == '"' then
    return walk_string(text, behind)
  elseif kind == '[' then
    return walk_array(text, behind, message, path, depth)
  elseif kind == '{' then
    return walk_object(text, behind, message, path, depth)
  end
  local number_or_word = text:match('^%s*[%w.+-]+()', at)
  if not number_or_word then return no_json(text, at) end
  return number_or_word
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
