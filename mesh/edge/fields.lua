-- Refuses requests in which fields would get lost: Envoy's transcoder, which comes after this, drops those of a body that
-- the contract does not know (github.com/envoyproxy/envoy/issues/46623), and of those that come twice, in a body, in a
-- query or in path and query, all but the last, and says nothing.
--
-- The table MESSAGES is generated and stands in front of this text: for each message its fields, by both spellings; of
-- each field its name in the protos, the message it holds, if it is one to look into, and whether it is repeated.

local DEEPEST = 100

local walk

local function twice(field, message)
  return 'field "' .. field .. '" comes twice in ' .. message
end

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
  local fields, seen, separator, behind = message and MESSAGES[message], {}, nil, nil
  repeat
    local name, value = text:match('^%s*"([^"]*)"%s*:()', at)
    if not name then return no_json(text, at) end
    local here = path == '' and name or path .. '.' .. name
    local field = fields and fields[name] or {name = name}
    if fields and not fields[name] then
      return nil, 'unknown field "' .. here .. '" in ' .. message
    end
    if seen[field.name] then
      return nil, twice(here, message)
    end
    seen[field.name] = true
    local complaint
    at, complaint = walk(text, value, field.holds, here, depth + 1)
    if not at then return nil, complaint end
    separator, behind = text:match('^%s*([,}])()', at)
    if not separator then return no_json(text, at) end
    at = behind
  until separator == '}'
  return at
end

-- Walks the JSON value at `at`, which is to become a `message` (nil for what is not looked into). Returns the position
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

local function unescaped(text)
  return (text:gsub('%%(%x%x)', function(digits) return string.char(tonumber(digits, 16)) end))
end

-- The complaint about the query of a path whose variables are fields too; nothing when there is none.
local function complaint_about_query(path, in_path, message)
  local seen = {}
  for name in in_path:gmatch('%S+') do
    seen[name] = true
  end
  for parameter in (path:match('%?([^#]*)') or ''):gmatch('[^&]+') do
    local field = MESSAGES[message][unescaped(parameter:match('^[^=]*'))]
    if field and not field.repeated then
      if seen[field.name] then
        return twice(field.name, message)
      end
      seen[field.name] = true
    end
  end
end

-- The complaint about a body, which is to be one JSON object; nothing when there is none.
local function complaint_about_body(body, message)
  if not body or body:length() == 0 then
    return
  end
  local _, complaint = walk(body:getBytes(0, body:length()), 1, message, '', 0)
  return complaint
end

-- A request whose route names its message, the variables of its path, and whether the body is to be read.
function envoy_on_request(request)
  local route = request:filterContext()
  local message = route:get('request')
  if not message then
    return
  end
  local complaint = complaint_about_query(request:headers():get(':path'), route:get('in_path'), message)
  if not complaint and route:get('reads_body') then
    complaint = complaint_about_body(request:body(), message)
  end
  if complaint then
    request:respond({[':status'] = '400'}, complaint)
  end
end
