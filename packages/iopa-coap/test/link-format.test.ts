import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { filterLinks, hrefOf, parseLinks, serializeLinks } from '../src/formats/link-format.ts'

// The resources of the LINK cases of ETSI CoAP#4.
const LINKS = [
  { href: '/link1', attributes: { rt: 'Type1', if: 'If1', sz: 40, ct: 0 } },
  { href: '/link2', attributes: { rt: ['Type2', 'Type3'], if: 'If2', title: 'Two' } },
  { href: '/link3', attributes: { rt: 'Type1 Type3', if: 'foo', ct: [0, 41], obs: true } },
  { href: '/no%20type', attributes: {} }
]
const hrefs = (...query: string[]): string[] => filterLinks(LINKS, query).map(link => link.href)

describe('serializing links', () => {
  test('writes cardinals bare, text in quotes and flags alone', () => {
    expect(serializeLinks(LINKS)).toBe(
      '</link1>;rt="Type1";if="If1";sz=40;ct=0,</link2>;rt="Type2 Type3";if="If2";title="Two",' +
        '</link3>;rt="Type1 Type3";if="foo";ct="0 41";obs,</no%20type>'
    )
    expect(serializeLinks([])).toBe('')
    expect(serializeLinks([{ href: '/a', attributes: { obs: false, sz: '7', title: '7' } }])).toBe('</a>;sz=7;title="7"')
  })

  test('escapes quotes and backslashes and lets no line break through', () => {
    expect(serializeLinks([{ href: '/a', attributes: { title: 'a "b" \\ c\r\nd' } }])).toBe('</a>;title="a \\"b\\" \\\\ c d"')
  })

  test('refuses a name that would break the document', () => {
    expect(() => serializeLinks([{ href: '/a', attributes: { 'x;y': 1 } }])).toThrow(/'x;y' is no name/)
  })

  test('percent-encodes a decoded path, keeping what a path may hold', () => {
    expect(hrefOf('/lights/living room/ü>,<')).toBe('/lights/living%20room/%C3%BC%3E,%3C')
    expect(hrefOf("/a;b=c:d@e$f&g+h!*'()/")).toBe("/a;b=c:d@e$f&g+h!*'()/")
    expect(hrefOf('/\ud800')).toBe('/%EF%BF%BD')
  })
})

describe('parsing links', () => {
  test('reads the examples of RFC 6690 section 5', () => {
    const links = parseLinks(
      '</sensors>;ct=40;title="Sensor Index",\n</sensors/temp>;rt="temperature-c";if="sensor",\n' +
        '<http://www.example.com/sensors/t123>;anchor="/sensors/temp";rel="describedby",</t>;anchor="/sensors/temp";rel="alternate"'
    )
    expect(links.map(({ href, attributes }) => [href, { ...attributes }])).toEqual([
      ['/sensors', { ct: '40', title: 'Sensor Index' }],
      ['/sensors/temp', { rt: 'temperature-c', if: 'sensor' }],
      ['http://www.example.com/sensors/t123', { anchor: '/sensors/temp', rel: 'describedby' }],
      ['/t', { anchor: '/sensors/temp', rel: 'alternate' }]
    ])
  })

  test('accepts an empty document, white space, flags and escapes', () => {
    expect(parseLinks('')).toEqual([])
    expect(parseLinks('  ')).toEqual([])
    const [link] = parseLinks(' <> ; obs ; title = "a \\"b\\" , ; > c" ; title="second" ; x="" ')
    expect({ ...link!.attributes }).toEqual({ obs: true, title: 'a "b" , ; > c', x: '' })
  })

  test('keeps a name such as __proto__ a name', () => {
    const [link] = parseLinks('</a>;__proto__="x";constructor=1')
    expect(Object.getPrototypeOf(link!.attributes)).toBeNull()
    expect(Object.entries(link!.attributes)).toEqual([
      ['__proto__', 'x'],
      ['constructor', '1']
    ])
  })

  test.each([
    'a',
    '<a',
    '</a>;',
    '</a>x',
    '</a>,',
    '</a>;=1',
    '</a>;t="x',
    '</a>;t="x"y',
    ',</a>',
    '</a>;t="\\',
    '</a>;x=',
    '<a b>',
    '<a\n>',
    '<<a>'
  ])('refuses %j with the place', text => {
    expect(() => parseLinks(text)).toThrow(expect.objectContaining({ status: 400, code: 'malformed-link-format' }))
  })

  test('takes so many links, and attributes of one link, as its limits say', () => {
    expect(parseLinks('</a>,</b>', { links: 2 })).toHaveLength(2)
    expect(() => parseLinks('</a>,</b>,</c>', { links: 2 })).toThrow(/more than 2 links at character 10/)
    expect(() => parseLinks('</a>;b;c', { attributes: 1 })).toThrow(/more than 1 attributes/)
    expect(() => parseLinks('<>,'.repeat(10_000).concat('<>'))).toThrow(/more than 10000 links/)
  })

  test('gives back what was serialized', () => {
    // The segments of fc.webPath(), which makes a hundred times as much of them.
    const segment = fc.string({ unit: fc.constantFrom(..."abz09-._~!$&'()*+,;=:@", '%C3%BC', '%2F'), maxLength: 8 })
    const path = fc.array(segment, { maxLength: 4 }).map(segments => segments.map(text => `/${text}`).join(''))
    const name = fc.constantFrom('rt', 'if', 'title', 'x-y', 'obs')
    const attribute = fc.oneof(
      fc.string({ unit: 'grapheme' }).filter(text => !/[\u0000-\u001f\u007f]/.test(text)),
      fc.constant(true as const)
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(path, fc.dictionary(name, attribute)), { maxLength: 4 }), pairs => {
        const links = pairs.map(([href, attributes]) => ({ href, attributes }))
        expect(parseLinks(serializeLinks(links)).map(link => ({ href: link.href, attributes: { ...link.attributes } }))).toEqual(
          links.map(link => ({ href: link.href, attributes: { ...link.attributes } }))
        )
      })
    )
  })

  test('takes any text without throwing anything but a 400, in time that grows with its length', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'<>;,="\\ aü\n'), maxLength: 200 }), text => {
        try {
          parseLinks(text)
        } catch (error) {
          expect((error as { status: number }).status).toBe(400)
        }
      })
    )
    const started = performance.now()
    expect(parseLinks(`</a>;t="${'\\"'.repeat(200_000)}"`)).toHaveLength(1)
    expect(performance.now() - started).toBeLessThan(2000)
  })
})

describe('filtering links (RFC 6690 section 4.1)', () => {
  test('matches one word of rt, if, rel and ct', () => {
    expect(hrefs('rt=Type1')).toEqual(['/link1', '/link3'])
    expect(hrefs('rt=Type2')).toEqual(['/link2'])
    expect(hrefs('rt=Type')).toEqual([])
    expect(hrefs('ct=41')).toEqual(['/link3'])
    expect(hrefs('rt=Type1 Type3')).toEqual(['/link3'])
  })

  test('matches a prefix before an asterisk, and any value for an asterisk alone', () => {
    expect(hrefs('if=If*')).toEqual(['/link1', '/link2'])
    expect(hrefs('rt=*')).toEqual(['/link1', '/link2', '/link3'])
    expect(hrefs('sz=*')).toEqual(['/link1'])
    expect(hrefs('rt=Type3*')).toEqual(['/link2', '/link3'])
  })

  test('compares href with the target, decoded or not', () => {
    expect(hrefs('href=/link1')).toEqual(['/link1'])
    expect(hrefs('href=/link*')).toEqual(['/link1', '/link2', '/link3'])
    expect(hrefs('href=/no type')).toEqual(['/no%20type'])
    expect(hrefs('href=/no%20type')).toEqual(['/no%20type'])
    expect(filterLinks([{ href: '/%zz', attributes: {} }], ['href=/%zz'])).toHaveLength(1)
  })

  test('asks for presence with a name alone, and for all parts of a query', () => {
    expect(hrefs('obs')).toEqual(['/link3'])
    expect(hrefs('rt=Type1', 'sz=40')).toEqual(['/link1'])
    expect(hrefs('rt=Type1', 'if=nothing')).toEqual([])
    expect(hrefs()).toHaveLength(4)
  })

  test('takes inherited names for absent', () => {
    expect(hrefs('toString=*')).toEqual([])
    expect(hrefs('constructor')).toEqual([])
  })
})
