// A loader for Node: each function of packages/*/src calls globalThis.iopaProbe(file, name) when it is entered.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { transform } from 'esbuild'
import { parseAst } from 'rollup/parseAst'

const packages = new URL('../../packages/', import.meta.url).href
const functions = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression'])

/** A function's name as its reader finds it: its own, or the name of the member or variable that holds it. */
const nameOf = (node, parent, owner) => {
  if (node.id) return node.id.name
  const key = parent?.key ?? (parent?.type === 'VariableDeclarator' ? parent.id : parent?.type === 'AssignmentExpression' ? parent.left : undefined)
  const word = key?.property ?? key
  const name = word?.name ?? word?.value
  if (name === undefined) return `${owner || 'module'} > callback`
  const accessor = parent.kind === 'get' || parent.kind === 'set' ? `${parent.kind} ` : ''
  return `${accessor}${word.type === 'PrivateIdentifier' ? '#' : ''}${name}`
}

/** Pairs of an offset and the text to insert there. */
const probes = (program, code, file) => {
  const edits = []
  const visit = (node, parent, owner) => {
    let inside = owner
    if (functions.has(node.type)) {
      inside = nameOf(node, parent, owner)
      const call = `iopaProbe(${JSON.stringify(file)},${JSON.stringify(inside)})`
      if (node.body.type === 'BlockStatement') edits.push([node.body.start + 1, `${call};`])
      else edits.push([code.indexOf('=>', node.params.at(-1)?.end ?? node.start) + 2, `(${call},`], [node.end, ')'])
    }
    for (const value of Object.values(node)) {
      for (const child of Array.isArray(value) ? value : [value]) if (typeof child?.type === 'string') visit(child, node, inside)
    }
  }
  visit(program, undefined, '')
  return edits
}

const instrumented = (code, file) => {
  let text = code
  for (const [at, insert] of probes(parseAst(code), code, file).sort(([a], [b]) => b - a)) text = text.slice(0, at) + insert + text.slice(at)
  return text
}

export const load = async (url, context, next) => {
  if (!url.startsWith(packages) || !/\/src\/.*\.ts$/.test(url)) return next(url, context)
  const { code } = await transform(await readFile(fileURLToPath(url), 'utf8'), { loader: 'ts', format: 'esm', target: 'node20' })
  return { format: 'module', shortCircuit: true, source: instrumented(code, url.slice(packages.length)) }
}
