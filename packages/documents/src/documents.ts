import type { MiddlewareFunction, MiddlewareObject } from '@iopa/appbuilder'
import { type AppHandle, type Extension, markFactory, type RouteAttributes } from '@iopa/appbuilder/extension'
import { checkDocumentsOptions, type DocumentPaths, type DocumentsOptions, servedPaths } from './options.ts'
import { plainPage } from './plain-page.ts'
import { DescribedApp } from './serving/described-app.ts'
import { addRoutes, type DocumentRoute } from './serving/document-routes.ts'
import { RenderedDocuments } from './serving/rendered-documents.ts'
import { ThingDirectory } from './serving/thing-directory.ts'
import { ViewerFiles } from './serving/viewer-files.ts'

/**
 * Serves the documents of an app: `app.use(router()).use(documents({ title: 'Home', version: '1.0.0' }))`. They follow the routes that are added
 * later, and the listeners that are open.
 */
export const documents = (options: DocumentsOptions): Extension<object> => {
  checkDocumentsOptions(options, documents)
  return {
    name: 'documents',
    extend(app) {
      addRoutes(app, routesOf(app, options))
      return {}
    }
  }
}

const routesOf = (app: AppHandle, options: DocumentsOptions): readonly DocumentRoute[] => {
  const paths = servedPaths(options.paths)
  const described = new DescribedApp(app, options)
  const rendered = new RenderedDocuments(described, paths, app.clock)
  const directory = new ThingDirectory(described, paths, app.clock)
  const viewer = new ViewerFiles(options.viewer ?? plainPage, options.title, paths)
  const before = middlewareOf(options)
  const route = (option: keyof DocumentPaths, attributes: RouteAttributes, handler: MiddlewareFunction, name?: string): readonly DocumentRoute[] => {
    const path = paths[option]
    if (path === undefined) return []
    return [{ option, path: name === undefined ? path : `${path}/${name}`, attributes: { obs: false, ...attributes }, chain: [...before, handler] }]
  }
  return [
    ...route('openapi', { title: 'OpenAPI' }, context => rendered.openapi(context)),
    ...route('asyncapi', { title: 'AsyncAPI' }, context => rendered.asyncapi(context)),
    // WoT Discovery section 7.2.2: so CoRE links say where Thing Descriptions are.
    ...route('thing', { title: 'Thing Description', rt: 'wot.thing', ct: 432 }, context => rendered.thing(context)),
    ...route('things', { title: 'Thing Descriptions of instances', rt: 'wot.directory' }, context => directory.list(context)),
    ...route('things', { title: 'Thing Description of an instance', rt: 'wot.thing', ct: 432 }, context => directory.thing(context), '{path*}'),
    ...route('page', { title: 'Documents, to read and try' }, context => viewer.page(context)),
    ...route('page', { title: 'A file of the page' }, context => viewer.file(context), '{file}')
  ]
}

const middlewareOf = ({ protect }: DocumentsOptions): readonly (MiddlewareFunction | MiddlewareObject)[] =>
  protect === undefined || protect === true ? [] : Array.isArray(protect) ? protect : [protect as MiddlewareFunction]

markFactory('documents', documents)
