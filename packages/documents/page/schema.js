// Elements, and schemas as lists that a person reads.

const create = (name, attributes = {}, ...children) => {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value)
    else element.setAttribute(key, value === true ? '' : value)
  }
  element.append(...children.flat().filter(child => child !== undefined && child !== ''))
  return element
}

let api = {}

/** What a reference leads to; an empty schema where it leads nowhere. */
const resolved = value => {
  let target = value
  for (let steps = 0; steps < 20 && typeof target?.$ref === 'string'; steps++) {
    target = target.$ref
      .slice(2)
      .split('/')
      .reduce((at, key) => at?.[decodeURIComponent(key).replaceAll('~1', '/').replaceAll('~0', '~')], api)
  }
  return target ?? {}
}

const nameIn = schema => (typeof schema?.$ref === 'string' ? schema.$ref.split('/').pop() : '')

/** A schema in a few words: `number, 0 to 100`. */
const typeText = given => {
  const schema = resolved(given)
  const name = nameIn(given)
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum) return schema.enum.map(value => JSON.stringify(value)).join(' | ')
  const choices = schema.oneOf ?? schema.anyOf
  if (choices) return choices.map(typeText).join(' | ')
  if (schema.type === 'array') return `list of ${typeText(schema.items ?? {})}`
  const type = Array.isArray(schema.type) ? schema.type.join(' | ') : schema.type
  const words = [name !== '' && (type === 'object' || schema.allOf) ? name : (type ?? 'any'), schema.format]
  const least = schema.minimum ?? schema.exclusiveMinimum
  const most = schema.maximum ?? schema.exclusiveMaximum
  if (least !== undefined && most !== undefined && Math.abs(least) < 1e15 && Math.abs(most) < 1e15) words.push(`${least} to ${most}`)
  else if (least !== undefined && Math.abs(least) < 1e15) words.push(`from ${least}`)
  else if (most !== undefined && Math.abs(most) < 1e15) words.push(`to ${most}`)
  if (schema.minLength !== undefined) words.push(`from ${schema.minLength} characters`)
  if (schema.maxLength !== undefined) words.push(`to ${schema.maxLength} characters`)
  if (schema.pattern !== undefined) words.push(`matches ${schema.pattern}`)
  return words.filter(word => word !== undefined).join(', ')
}

/** The members of an object, of the items of a list, and of all parts of a schema. */
const membersOf = given => {
  const schema = resolved(given)
  if (schema.type === 'array') return membersOf(schema.items ?? {})
  const own = Object.entries(schema.properties ?? {}).map(([name, member]) => ({ name, member, must: (schema.required ?? []).includes(name) }))
  return [...(schema.allOf ?? []).flatMap(membersOf), ...own]
}

const schemaList = (schema, depth = 0) => {
  const members = membersOf(schema).slice(0, 100)
  if (members.length === 0) return create('p', { class: 'type' }, typeText(schema))
  return create(
    'ul',
    { class: 'schema' },
    members.map(({ name, member, must }) =>
      create(
        'li',
        {},
        create('code', {}, name),
        ' ',
        create('span', { class: 'type' }, typeText(member)),
        must ? create('span', { class: 'must' }, ' required') : '',
        resolved(member).readOnly ? create('span', { class: 'say' }, ' set by the server') : '',
        resolved(member).description ? create('span', { class: 'say' }, ` ${resolved(member).description}`) : '',
        depth < 4 && membersOf(member).length > 0 ? schemaList(member, depth + 1) : ''
      )
    )
  )
}

/** A value that a form begins with. */
const exampleOf = (given, depth = 0) => {
  const schema = resolved(given)
  if (schema.default !== undefined) return schema.default
  if (schema.example !== undefined) return schema.example
  if (schema.examples?.length > 0) return schema.examples[0]
  if (schema.const !== undefined) return schema.const
  if (schema.enum) return schema.enum[0]
  const choice = (schema.oneOf ?? schema.anyOf)?.[0]
  if (choice) return exampleOf(choice, depth + 1)
  const members = schema.type === 'array' ? [] : membersOf(given)
  if (members.length > 0 || schema.type === 'object') {
    const shown = members.filter(({ member }) => !resolved(member).readOnly)
    return depth > 4 ? {} : Object.fromEntries(shown.map(({ name, member }) => [name, exampleOf(member, depth + 1)]))
  }
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type
  if (type === 'array') return depth > 4 ? [] : [exampleOf(schema.items ?? {}, depth + 1)]
  if (type === 'number' || type === 'integer') return Math.max(0, schema.minimum ?? 0)
  if (type === 'boolean') return true
  return type === 'string' ? '' : type === 'null' ? null : {}
}
