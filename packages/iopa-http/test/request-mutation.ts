/** Requests as clients send them, and as attackers do. */

type Random = () => number

const pick = <T>(items: readonly T[], random: Random): T => items[Math.floor(random() * items.length)] as T

const METHODS = ['GET', 'GET', 'GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND', 'CONNECT', 'get', 'GE T', 'M-SEARCH', '0GET', 'GET_A']
const TARGETS = [
  '/',
  '/',
  '/a',
  '/a/b?c=d',
  '/%41',
  '/a b',
  '/?x',
  '*',
  'http://localhost/a?b',
  'http://localhost',
  'a',
  '/a#b',
  '/\xe9',
  '//a',
  '/a\tb',
  ''
]
const VERSIONS = ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0', 'HTTP/11', 'HTTP/1.1 ', 'http/1.1', 'HTTP/0.9']
const FIELDS = [
  'Accept: */*',
  'X-A: b',
  'X-A:b',
  'X-A:\t b \t',
  'X-Empty:',
  'X-Latin: \xe9\xff',
  'X-Quote: "a\\"b", c',
  'Connection: keep-alive',
  'Connection: close',
  'connection: Keep-Alive, X-A',
  'Connection: closed',
  'Connection: upgrade',
  'Upgrade: h2c',
  'Expect: 100-continue',
  'Expect: x',
  'Proxy-Connection: close',
  'Host: other',
  ' X-Folded: a',
  '\tfolded',
  'X-Space : a',
  'X Space: a',
  'X-\xe9: a',
  ': nameless',
  'no colon',
  'Content-Length: 0',
  'Content-Length: 3',
  'Content-Length: 03',
  'Content-Length: +3',
  'Content-Length: 3, 3',
  'Content-Length: 0x3',
  'Content-Length: 3 ',
  'Content-Length:3',
  'Content-Length: \t3',
  'Content-Length: 3\t',
  'Transfer-Encoding: chunked\t',
  'Transfer-Encoding:\tchunked',
  'Content-Length: 99999999999999999999',
  'Content-Length: ',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: chunked ',
  'Transfer-Encoding: Chunked',
  'Transfer-Encoding: identity',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: chunked, chunked',
  'Transfer-Encoding: chunked, gzip',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding:',
  'Transfer-Encoding: "chunked"',
  'Transfer_Encoding: chunked'
]
const EXTENSIONS = ['', '', '', ';a', ';a=b', ';a="b;c"', '; a=b', ' ;a=b', ';', ';a=', ';a="', ' ', ';a=b=c', ';a="b"c', ';\xe9']
const SIZES = [
  (n: number) => n.toString(16),
  (n: number) => n.toString(16).toUpperCase(),
  (n: number) => `00${n.toString(16)}`,
  (n: number) => `0x${n}`,
  () => '-1'
]
const TRAILERS = [
  '',
  '',
  '',
  'X-T: a\r\n',
  'Content-Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'X T: a\r\n',
  ' a\r\n',
  'X-T : b\r\n',
  'Host: a\r\n'
]
const LETTERS = 'abcdefghij\r\n\0GET / HTTP/1.1'

const text = (length: number, random: Random): string => Array.from({ length }, () => pick([...LETTERS], random)).join('')

const chunked = (odd: number, random: Random): string => {
  let body = ''
  for (let count = Math.floor(random() * 3); count > 0; count--) {
    const data = text(1 + Math.floor(random() * 20), random)
    const size = random() < odd ? pick(SIZES, random) : (SIZES[0] as (n: number) => string)
    body += `${size(data.length)}${random() < odd ? pick(EXTENSIONS, random) : ''}\r\n${data}\r\n`
  }
  return `${body}0${random() < odd ? pick(EXTENSIONS, random) : ''}\r\n${random() < odd ? pick(TRAILERS, random) : ''}\r\n`
}

/** One request; `odd` is the chance of each of its parts to be out of the ordinary. */
const request = (odd: number, random: Random): string => {
  const fields = ['Host: localhost']
  let body = ''
  const form = random()
  if (form < 0.25) {
    body = text(Math.floor(random() * 30), random)
    fields.push(`Content-Length: ${body.length}`)
  } else if (form < 0.5) {
    body = chunked(odd, random)
    fields.push('Transfer-Encoding: chunked')
  }
  for (let count = Math.floor(random() * 3); count > 0; count--)
    fields.push(random() < odd * 2 ? pick(FIELDS, random) : pick(FIELDS.slice(0, 7), random))
  if (random() < odd / 4) fields.shift()
  fields.sort(() => random() - 0.5)
  const part = (list: readonly string[]): string => (random() < odd ? pick(list, random) : pick(list.slice(0, 3), random))
  const lines = [`${part(METHODS)} ${part(TARGETS)} ${random() < odd ? pick(VERSIONS, random) : 'HTTP/1.1'}`, ...fields]
  return `${random() < odd / 2 ? pick(['\r\n', '\n', '\r\n\r\n', ' ', '\r'], random) : ''}${lines.join('\r\n')}\r\n\r\n${body}`
}

const MARKS = [
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  ' ',
  '\t',
  ':',
  ',',
  ';',
  '\0',
  '\x01',
  '\x7f',
  '\x80',
  '0',
  '1',
  'a',
  '\r\n ',
  'Content-Length: 1\r\n'
]

const mutate = (bytes: string, random: Random): string => {
  const at = Math.floor(random() * bytes.length)
  const length = 1 + Math.floor(random() ** 3 * 20)
  switch (Math.floor(random() * 5)) {
    case 0:
      return bytes.slice(0, at) + pick(MARKS, random) + bytes.slice(at)
    case 1:
      return bytes.slice(0, at) + bytes.slice(at + length)
    case 2:
      return bytes.slice(0, at) + pick(MARKS, random) + bytes.slice(at + 1)
    case 3:
      return bytes.slice(0, at + length) + bytes.slice(at)
    default: {
      const lines = bytes.split('\r\n')
      const line = Math.floor(random() * lines.length)
      lines.splice(Math.floor(random() * lines.length), 0, lines[line] as string)
      return lines.join('\r\n')
    }
  }
}

/** What comes in on one connection: a few requests, most of them right or nearly so. */
export const conversation = (random: Random): Uint8Array => {
  const odd = pick([0, 0.05, 0.1, 0.3], random)
  let bytes = ''
  for (let count = 1 + Math.floor(random() * 4); count > 0; count--) bytes += request(odd, random)
  for (let count = pick([0, 0, 1, 1, 2], random); count > 0; count--) bytes = mutate(bytes, random)
  return Buffer.from(bytes, 'latin1')
}

/** The same bytes in pieces: cut at random places, or one by one. */
export const pieces = (bytes: Uint8Array, random: Random): Uint8Array[] => {
  const most = pick([1, 3, 20, bytes.length], random)
  const cut: Uint8Array[] = []
  for (let at = 0; at < bytes.length; ) {
    const next = at + 1 + Math.floor(random() * most)
    cut.push(bytes.subarray(at, next))
    at = next
  }
  return cut
}
