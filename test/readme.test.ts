// Runs what the documents show. A comment on the line before a block of code says what the block is:
//   <!-- run -->         a program: it is type-checked and run, and its `app` is closed afterwards
//   <!-- file a.ts -->   a file that programs of the page import
//   <!-- test -->        a test file: its tests run among these
//   <!-- prints -->      what the program before it prints
//   <!-- shell -->       commands for the app of the program before it; `# ...` is output that must come
//   <!-- setup -->       commands that come before all programs of the page, as those do that stand before the first one
//   <!-- sketch -->      a shape, no program
import { execFile, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { format, promisify } from 'node:util'
import type { App } from '@iopa/appbuilder'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'

interface Block {
  readonly line: number
  readonly mark: string
  readonly name: string
  readonly language: string
  readonly text: string
}

interface Command {
  readonly command: string
  readonly output: string[]
}

interface Program {
  readonly line: number
  readonly mark: string
  readonly file: string
  readonly text: string
  printed?: string
  readonly commands: Command[]
}

interface Page {
  readonly document: string
  readonly folder: string
  readonly before: Command[]
  readonly programs: Program[]
}

const root = resolve(import.meta.dirname, '..')
// A folder that git, biome and tsc pass over.
const built = join(root, 'test/.shown/dist')

const markdownIn = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.md') && !/node_modules|CHANGELOG/.test(file))
    .map(file => join(folder, file))
const documents = [...readdirSync(root).filter(file => file.endsWith('.md')), ...['docs', 'examples', 'packages'].flatMap(markdownIn)].sort()
const textOf = (document: string): string => readFileSync(join(root, document), 'utf8')

const blocksOf = (text: string): Block[] =>
  [...text.matchAll(/(?:<!-- (\w+) ?([\w.-]*) -->\n)?^```(\w*)\n(.*?)^```$/gms)].map(match => ({
    line: text.slice(0, match.index).split('\n').length + (match[1] === undefined ? 0 : 1),
    mark: match[1] ?? '',
    name: match[2] ?? '',
    language: match[3] ?? '',
    text: match[4] ?? ''
  }))

const commandsOf = (text: string): Command[] => {
  const commands: Command[] = []
  for (const line of text.split('\n')) {
    if (line.startsWith('# ')) commands.at(-1)?.output.push(line.slice(2))
    else if (line !== '') commands.push({ command: line, output: [] })
  }
  return commands
}

const pageOf = (document: string): Page => {
  const page: Page = { document, folder: join(built, document.replace(/\W+/g, '-')), before: [], programs: [] }
  for (const { mark, name, line, language, text } of blocksOf(textOf(document))) {
    const last = page.programs.at(-1)
    if (['run', 'test', 'file'].includes(mark))
      page.programs.push({ line, mark, file: join(page.folder, name || `line-${line}.${language}`), text, commands: [] })
    else if (mark === 'setup' || (mark === 'shell' && last === undefined)) page.before.push(...commandsOf(text))
    else if (last !== undefined && mark === 'shell') last.commands.push(...commandsOf(text))
    else if (last !== undefined && mark === 'prints') last.printed = text.trimEnd()
  }
  return page
}

/** The system chooses the ports, so that pages can run beside anything. */
const write = ({ file, text }: Program): void => {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${text.replace(/\bport: \d+/g, 'port: 0')}\n${/^const app = /m.test(text) ? 'export { app }' : 'export {}'}\n`)
}

/** Puts the ports in which an app really listens in place of those that its program names. */
const withPorts = (command: string, text: string, app: App | undefined): string => {
  let real = command
  for (const [, name, port] of text.matchAll(/\b(\w+)\(\{[^}]*?\bport: (\d+)/g)) {
    const url = app?.explain().transports.find(transport => transport.name === name)?.urls[0]
    if (url !== undefined) real = real.replaceAll(new RegExp(`\\b${port}\\b`, 'g'), new URL(url).port)
  }
  return real
}

const follow = async (command: string, output: readonly string[], folder: string): Promise<void> => {
  const child = spawn('sh', ['-c', command], { cwd: folder, detached: true })
  let text = ''
  child.stdout.on('data', data => (text += data))
  child.stderr.on('data', data => (text += data))
  const gone = new Promise<void>(end => child.once('close', () => end()))
  const heard = (): boolean => output.length > 0 && output.every(line => text.includes(line))
  for (const end = Date.now() + 8000; !heard() && child.exitCode === null && Date.now() < end; ) await new Promise(next => setTimeout(next, 10))
  // A command that watches does not end by itself.
  if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid)
  await gone
  if (output.length === 0) expect({ command, text, code: child.exitCode }).toEqual({ command, text, code: 0 })
  else expect(`${command}\n${text}`).toSatisfy(heard)
}

const has = async (tool: string): Promise<boolean> =>
  promisify(execFile)('sh', ['-c', `command -v ${tool}`]).then(
    () => true,
    () => false
  )

const pages = documents.map(pageOf)
const programs = pages.flatMap(page => page.programs)
rmSync(dirname(built), { recursive: true, force: true })
for (const program of programs) write(program)
afterAll(() => rmSync(dirname(built), { recursive: true, force: true }))

const toolsOf = (commands: readonly Command[]): string[] =>
  commands.flatMap(({ command }) => command.split('|').map(part => part.trim().replace('(', '').split(' ')[0] as string))
const tools = new Set(toolsOf([...pages.flatMap(({ before }) => before), ...programs.flatMap(({ commands }) => commands)]))
const missing = (await Promise.all([...tools].map(async tool => ((await has(tool)) ? [] : [tool])))).flat()
const required = process.env['IOPA_REQUIRE_PEERS'] === '1'

const withPrograms = pages.filter(page => page.programs.length > 0).map(page => [page.document, page] as const)
describe.each(withPrograms)('%s', async (_, page) => {
  beforeAll(async () => {
    if (toolsOf(page.before).some(tool => missing.includes(tool)) && !required) return
    for (const { command, output } of page.before) await follow(command, output, page.folder)
  })

  for (const { line, mark, file, text, printed, commands } of page.programs) {
    if (mark === 'test') await import(file)
    if (mark !== 'run') continue
    const used = toolsOf([...page.before, ...commands])
    const needed = missing.filter(tool => used.includes(tool))
    test.skipIf(needed.length > 0 && !required)(
      `what line ${line} shows runs${needed.length > 0 ? `, with ${needed.join(', ')}` : ''}`,
      async () => {
        const log = vi.spyOn(console, 'log').mockImplementation(() => undefined)
        let app: App | undefined
        try {
          app = ((await import(file)) as { app?: App }).app
          if (printed !== undefined) expect(log.mock.calls.map(words => format(...words)).join('\n')).toBe(printed)
          for (const { command, output } of commands) await follow(withPorts(command, text, app), output, page.folder)
        } finally {
          log.mockRestore()
          await app?.close({ timeout: 100 })
        }
        if (app !== undefined) expect(app.live).toBe(0)
      },
      30_000
    )
  }
})

describe('the documents', () => {
  test('show programs with correct types', () => {
    const config = join(built, 'tsconfig.json')
    // Libraries are checked by `pnpm check`. Types are those of the built packages, which an app has, where dist is known to be of these sources.
    const customConditions = process.env['IOPA_BUILT'] === '1' ? [] : ['@iopa/source']
    const compilerOptions = { isolatedDeclarations: false, declaration: false, allowJs: true, skipLibCheck: true, customConditions }
    writeFileSync(config, JSON.stringify({ extends: join(root, 'tsconfig.base.json'), compilerOptions, files: programs.map(({ file }) => file) }))
    let errors = ''
    try {
      // What is wrong in the sources themselves is found by `pnpm check`.
      execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', config, '--pretty', 'false', '--checkers', '1'], { cwd: root, encoding: 'utf8' })
    } catch (error) {
      errors = (error as { stdout: string }).stdout
        .split('\n')
        .filter(line => line.startsWith('test/.shown'))
        .join('\n')
    }
    expect(errors).toBe('')
  }, 60_000)

  const marked = documents.filter(document => !/^docs\/decisions/.test(document))

  test.each(marked)('mark each block of code in %s', document => {
    const silent = blocksOf(textOf(document)).filter(({ language, mark }) => /^[jt]s$/.test(language) && mark === '')
    expect(silent.map(({ line }) => line)).toEqual([])
  })

  const anchorsOf = (text: string): string[] =>
    [...text.matchAll(/^#+ (.*)$/gm)].map(match =>
      (match[1] as string)
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replace(/ /g, '-')
    )

  test.each(documents)('link from %s to existing places', document => {
    const prose = textOf(document).replace(/^```.*?^```$/gms, '')
    const broken = [...prose.matchAll(/\]\((?!\w+:)([^)#\s]*)(?:#([^)]*))?\)/g)].filter(([, path, anchor]) => {
      const target = resolve(root, dirname(document), path || document.split('/').at(-1)!)
      return !existsSync(target) || (anchor !== undefined && !anchorsOf(readFileSync(target, 'utf8')).includes(anchor))
    })
    expect(broken.map(([link]) => link)).toEqual([])
  })
})
