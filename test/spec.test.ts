// The tables of the documents say what the code says.
import { readdirSync, readFileSync } from 'node:fs'
import { App } from '@iopa/appbuilder'
import { COAP_KEYS } from '@iopa/coap'
import { CAPABILITIES, CONTROL_METHODS, changesState, IOPA, IOPA_VERSION, METHODS, SERVER, SSL, STATUS } from '@iopa/constants'
import { MQTT_KEYS } from '@iopa/mqtt'
import { conformance } from '@iopa/testing'
import { DEFAULT_LIMITS } from '@iopa/transport'
import { describe, expect, test } from 'vitest'

const read = (file: string): string => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8')
/** The cells of every row of every table. */
const rowsOf = (text: string): string[][] =>
  [...text.matchAll(/^\| (.*) \|$/gm)].map(match => (match[1] as string).split('|').map(cell => cell.trim().replaceAll('`', '')))
const section = (text: string, heading: string): string => text.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''

describe('README.md', () => {
  const units: Record<string, number> = { MiB: 1024 * 1024, KiB: 1024, s: 1000 }
  const limits = rowsOf(section(read('README.md'), 'Limits')).filter(([name]) => name !== 'limit' && name !== '---')

  test('lists every limit with its default', () => {
    const listed = limits.map(([name, value]) => {
      // The platform gives it where the app does not.
      if (value === 'a quarter of the heap limit of Node') return [name, Number.POSITIVE_INFINITY]
      const [amount, unit = ''] = (value as string).split(' ')
      return [name, Number(amount) * (units[unit] ?? 1)]
    })
    expect(Object.fromEntries(listed)).toEqual(DEFAULT_LIMITS)
  })

  test('lists every package with its dependencies', () => {
    const listed = rowsOf(section(read('README.md'), 'Packages'))
      .filter(([name]) => name?.startsWith('[@iopa/'))
      .map(([name, , depends]) => [
        name?.match(/\[(.*?)\]/)?.[1],
        (depends as string)
          .replace('optional: ', '')
          .split(/[,;] /)
          .filter(part => part !== 'nothing')
          .sort()
      ])
    const actual = readdirSync(new URL('../packages', import.meta.url)).map(folder => {
      const manifest = JSON.parse(read(`packages/${folder}/package.json`)) as {
        name: string
        dependencies?: Record<string, string>
        peerDependencies?: Record<string, string>
      }
      return [
        manifest.name,
        Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })
          .map(name => name.replace('@iopa/', ''))
          .sort()
      ]
    })
    expect(Object.fromEntries(listed)).toEqual(Object.fromEntries(actual))
  })
})

describe('docs/spec/keys.md', () => {
  const text = read('docs/spec/keys.md')
  const keysIn = (heading: string): string[] =>
    rowsOf(section(text, heading)).flatMap(([key]) => (/^[a-z]+\.[A-Z]\w*$/.test(key as string) ? [key as string] : []))

  test('has a row for every key of a request, an answer and the server, and for no other', () => {
    const answer = [IOPA.StatusCode, IOPA.ReasonPhrase, IOPA.Headers, IOPA.ContentType, IOPA.Body]
    const ofAnswer = new Set<string>([IOPA.StatusCode, IOPA.ReasonPhrase])
    expect(keysIn('The request')).toEqual(Object.values(IOPA).filter(key => !ofAnswer.has(key)))
    expect(keysIn('The answer')).toEqual(answer)
    expect(keysIn('The server').sort()).toEqual([...Object.values(SERVER), ...Object.values(SSL)].sort())
  })

  test('marks the keys that every context has, and their aliases', async () => {
    await using context = new App().create({ 'iopa.Path': '/a' })
    const bag = context as unknown as Record<string, unknown>
    for (const [key, alias, , present] of [...rowsOf(section(text, 'The request')), ...rowsOf(section(text, 'The server'))] as [
      string,
      string,
      string,
      string
    ][]) {
      if (!/^[a-z]+\.[A-Z]/.test(key)) continue
      if (present.includes('always')) expect(bag[key], key).toBeDefined()
      if (/^\w+$/.test(alias)) expect(bag[alias], alias).toEqual(bag[key])
    }
  })

  test('has a row for every key of MQTT and of CoAP', () => {
    expect(keysIn('Keys of MQTT')).toEqual(Object.keys(MQTT_KEYS.keys).map(name => `mqtt.${name}`))
    expect(keysIn('Keys of CoAP')).toEqual(Object.keys(COAP_KEYS.keys).map(name => `coap.${name}`))
  })

  test('names every capability', () => {
    for (const urn of Object.values(CAPABILITIES)) expect(section(text, 'Capabilities')).toContain(`\`${urn}\``)
  })
})

describe('docs/spec/rest.md', () => {
  const text = read('docs/spec/rest.md')

  test('says for every method whether it notifies', () => {
    const listed = rowsOf(section(text, 'Methods')).filter(([name]) => name !== 'method' && name !== '---')
    expect(listed.map(([name]) => name).sort()).toEqual(Object.values(METHODS).sort())
    for (const [name, , , , notifies] of listed) expect(notifies === 'yes', name).toBe(changesState(name as string))
  })

  test('names every control method', () => {
    for (const method of Object.values(CONTROL_METHODS)) expect(section(text, 'Methods')).toContain(`\`${method}\``)
  })

  test('explains only existing statuses', () => {
    const known = new Set<number>(Object.values(STATUS))
    for (const [status] of rowsOf(section(text, 'Statuses'))) if (/^\d+$/.test(status as string)) expect(known).toContain(Number(status))
  })
})

describe('docs/spec/conformance.md', () => {
  test('holds the thirty statements of the suite, word by word', () => {
    const listed = [...read('docs/spec/conformance.md').matchAll(/^(\d+)\. (.*)$/gm)].map(([, number, name]) => ({ number: Number(number), name }))
    expect(listed).toEqual(conformance({ createApp: options => new App(options) }).map(({ number, name }) => ({ number, name })))
  })
})

describe('docs/spec', () => {
  test('has the version that contexts have', () => {
    expect(read('docs/spec/README.md')).toContain(`version ${IOPA_VERSION}\n`)
  })

  test('names only existing files and tests', () => {
    const pages = readdirSync(new URL('../docs/spec', import.meta.url)).map(page => `docs/spec/${page}`)
    for (const page of [...pages, 'docs/decisions/0001-core-without-dependencies.md', 'docs/decisions/0002-value-of-the-innermost-handler.md']) {
      for (const [, path] of read(page).matchAll(/`((?:packages|test|examples|docs)\/[\w./-]+\.\w+)`/g))
        expect(() => read(path as string), `${page}: ${path}`).not.toThrow()
    }
  })
})
