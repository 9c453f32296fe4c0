import { describe, expect, test } from 'vitest'
import { parsePattern } from '../../src/patterns/pattern.ts'
import type { MixedParam, MixedSegment, PatternSegment } from '../../src/patterns/pattern-segment.ts'

const paramText = ({ name, constraint }: Pick<MixedParam, 'name' | 'constraint'>): string => `<${name}${constraint ? `:${constraint.source}` : ''}>`

const segmentText = (segment: PatternSegment): string => {
  if (segment.kind === 'static') return segment.value
  if (segment.kind === 'tail') return `${segment.name}...`
  if (segment.kind === 'param') return paramText(segment)
  return segment.prefix + segment.params.map(param => paramText(param) + param.literal).join('')
}

const shapes = (text: string): string[] => parsePattern(text).variants.map(variant => variant.map(segmentText).join(' / '))

describe('parsePattern', () => {
  test.each([
    ['/', ['']],
    ['/lights', ['lights']],
    ['/lights/', ['lights / ']],
    ['/lights/:id', ['lights / <id>']],
    ['/lights/{id}', ['lights / <id>']],
    ['/lights/{id:[0-9]+}', ['lights / <id:[0-9]+>']],
    ['/lights/{id:[0-9]{1,3}}', ['lights / <id:[0-9]{1,3}>']],
    ['/lights/:id{[0-9]+}', ['lights / <id:[0-9]+>']],
    ['/lights/{id:[^/]+}/level', ['lights / <id:[^/]+> / level']],
    ['/lights/{id:a:b}', ['lights / <id:a:b>']],
    ['/lights/{id}?', ['lights / <id>', 'lights']],
    ['/lights/:id?', ['lights / <id>', 'lights']],
    ['/lights/{id:[0-9]+}?', ['lights / <id:[0-9]+>', 'lights']],
    ['/{lang:en|de}?/lights', ['<lang:en|de> / lights', 'lights']],
    ['/{id}?', ['<id>', '']],
    ['/{a}?/{b}?', ['<a> / <b>', '<a>', '<b>', '']],
    ['/files/*', ['files / *...']],
    ['/files/{rest*}', ['files / rest...']],
    ['/files/{rest*}?', ['files / rest...', 'files']],
    ['/lights/1:reset', ['lights / 1:reset']],
    ['/.well-known/core', ['.well-known / core']],
    ['/wiki/Foo_(bar)', ['wiki / Foo_(bar)']],
    ['/grün/灯 1', ['grün / 灯 1']],
    ['/compare/{base}...{head}', ['compare / <base>...<head>']],
    ['/files/{name}.{ext}', ['files / <name>.<ext>']],
    ['/lights/{id:[0-9]+}.json', ['lights / <id:[0-9]+>.json']],
    ['/v{version}/x', ['v<version> / x']],
    ['/@{user}', ['@<user>']],
    ['/{a}-{b:[0-9]{2}}-{c}/{d}?', ['<a>-<b:[0-9]{2}>-<c> / <d>', '<a>-<b:[0-9]{2}>-<c>']],
    ['/jobs/{id}:cancel', ['jobs / <id>:cancel']],
    ['/{a}-:b', ['<a>-:b']],
    ['/v:id', ['v:id']],
    ['/({id:[^/)]+})', ['(<id:[^/)]+>)']],
    ['/灯{id}😀', ['灯<id>😀']]
  ])('parses %s to %j', (text, expected) => {
    expect(shapes(text)).toEqual(expected)
  })

  test.each([
    ['lights', 'begin it with "/"'],
    ['', 'begin it with "/"'],
    ['/lights/:id.json', 'a parameter with ":" fills its whole segment; write ":id.json" with braces, as in "{id}.json"'],
    ['/lights/:a-:b', 'as in "{a}-{b}"'],
    ['/lights/:a-{b}', 'as in "{a}-{b}"'],
    ['/lights/:id([0-9]+)', 'as in "{id:[0-9]+}"'],
    ['/lights/:id{[0-9]+}.json', 'as in "{id:[0-9]+}.json"'],
    ['/lights/:id{[0-9]+}.json?', 'as in "{id:[0-9]+}.json"'],
    ['/lights/{a}{b}', 'put text behind "{a}"'],
    ['/lights/x{a}-{b:[0-9]+}{c}', 'put text behind "{b:[0-9]+}"'],
    ['/lights/{id}.json?', 'a segment with text beside a parameter is not optional; leave out the "?" of "{id}.json?"'],
    ['/lights/v{id}?', 'a segment with text beside a parameter is not optional'],
    ['/lights/{id}?.json', 'a "?" only follows a parameter that fills its segment'],
    ['/lights/v{rest*}', 'remove the text beside "{rest*}"'],
    ['/lights/{rest*}.json', 'remove the text beside "{rest*}"'],
    ['/lights/{id}*', 'a "*" stands alone'],
    ['/lights/{id}%20', 'write the characters themselves; "%20" would never match'],
    ['/lights/{id}\\b', 'remove the backslash'],
    ['/lights/{a}.{}', 'name a parameter with letters, digits and "_"'],
    ['/lights/{a}.{1st}', 'name a parameter with letters'],
    ['/lights/{a}.{a}', 'give each parameter its own name; "a" is used twice'],
    ['/lights/{a:(x+)+}.json', 'regex "(x+)+"'],
    ['/lights/{a}.{b', 'close its "{" with "}"'],
    ['/lights/{a}.b}', 'a "}" has no "{" before it'],
    ['/\ud83d{id}', 'remove the lone surrogate'],
    ['/\ude00', 'remove the lone surrogate'],
    [`/${Array.from({ length: 65 }, (_, at) => `{p${at}}`).join('.')}`, 'use at most 64 parameters'],
    ['/lights/{}', 'name a parameter with letters, digits and "_"'],
    ['/lights/{1st}', 'name a parameter with letters'],
    ['/lights/{+id}', 'name a parameter with letters'],
    ['/lights/:', 'name the parameter ":"'],
    ['/lights/:1st', 'name the parameter ":1st"'],
    ['/lights/{id', 'close its "{" with "}"'],
    ['/lights/id}', 'a "}" has no "{" before it'],
    ['/a/:id/b/:id', 'give each parameter its own name; "id" is used twice'],
    ['/a//b', 'remove the empty segment'],
    ['/a/../b', 'remove the segment ".."'],
    ['/a/./b', 'remove the segment "."'],
    ['/a\\b', 'remove the backslash'],
    ['/a\0b', 'remove the backslash or NUL'],
    ['/a%20b', 'write the characters themselves'],
    ['/a?b=1', 'the query string is no part of a pattern'],
    ['/*/a', 'move "*" to the end'],
    ['/{rest*}/a', 'move "{rest*}" to the end'],
    ['/a*', 'a "*" stands alone'],
    ['/**', 'a "*" stands alone'],
    [`${'/a'.repeat(65)}`, 'use at most 64 segments'],
    [`/${'a'.repeat(1025)}`, 'use at most 1024 characters'],
    [`/{id}${'a'.repeat(1024)}`, 'use at most 1024 characters'],
    ['/{a}?/{b}?/{c}?/{d}?/{e}?', 'use at most 4 optional segments']
  ])('refuses %j with advice', (text, advice) => {
    expect(() => parsePattern(text)).toThrow(advice)
    expect(() => parsePattern(text)).toThrow(JSON.stringify(text))
  })

  test('accepts 64 parameters in one segment', () => {
    const [segment] = parsePattern(`/${Array.from({ length: 64 }, (_, at) => `{p${at}}`).join('.')}`).segments
    expect(segment).toMatchObject({ kind: 'mixed', prefix: '' })
    expect((segment as MixedSegment).params).toHaveLength(64)
  })

  test('accepts 64 segments', () => {
    expect(parsePattern('/a'.repeat(64)).segments).toHaveLength(64)
  })
})
