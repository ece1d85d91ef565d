// The virtual stain of the selected annotations, made by `histdist serve`. For research only: not for diagnosis.
//
// For QuPath 0.5 or newer, with nothing else installed. Open a project and an image, select annotations, and run this
// file from the script editor, or put it into the project's folder "scripts" and find it under Automate → Project
// scripts. README.md next to this file says what it does.
//
// The upper part, HistDistClient, is the traffic with the server and knows nothing of QuPath; the lower part is QuPath.

import com.google.gson.Gson
import com.google.gson.JsonParseException
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpRequest.BodyPublishers
import java.net.http.HttpResponse
import java.net.http.HttpResponse.BodyHandlers
import java.nio.charset.StandardCharsets
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.StandardCopyOption
import java.time.Duration
import java.util.concurrent.CancellationException

/** What is wrong, in words for the user. status is that of the server's answer, 0 if it is none. */
class HistDistProblem extends RuntimeException {
    final int status

    HistDistProblem(String message, int status = 0) {
        super(message)
        this.status = status
    }
}

/** The server's interface under api/v1, as far as this script needs it. */
class HistDistClient {
    static final long LARGEST_UPLOAD = 256L << 20 // bytes of a slide that is sent when the server doesn't have it
    static final Duration PATIENCE = Duration.ofMinutes(5) // with a server that doesn't answer while a job runs
    private static final List<String> ENDED = ['done', 'failed', 'cancelled']

    private final Gson gson = new Gson()
    private final URI api
    private final String token
    private final HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10)).build()

    HistDistClient(String address, String token) {
        this.api = addressOf(address).resolve('api/v1/')
        this.token = token?.trim()
    }

    /** The address that a user typed, with a scheme and a slash at its end. A proxy's path in it is kept. */
    static URI addressOf(String text) {
        String address = (text ?: '').trim()
        if (!address.contains('://'))
            address = 'http://' + address
        if (!address.endsWith('/'))
            address += '/'
        try {
            URI uri = new URI(address)
            if (uri.scheme in ['http', 'https'] && uri.host && !uri.query && !uri.userInfo)
                return uri
        } catch (URISyntaxException ignored) {
            // said below
        }
        throw new HistDistProblem("\"${text}\" is no address of a server: it looks like http://127.0.0.1:8080")
    }

    List<Map> models() { json(request('models').GET()) as List<Map> }

    /**
     * The slide of the server that is the open image: of the same file name and size. null if the server has none.
     * Names alone don't tell: two slides may have the same one.
     */
    Map findSlide(String name, int width, int height) {
        List<Map> named = (json(request('slides').GET()) as List<Map>).findAll { it.name == name }
        List<Map> same = named.findAll { it.width == width && it.height == height }
        if (same.size() > 1)
            throw new HistDistProblem("The server has ${same.size()} slides named ${name} with ${width}×${height} " +
                    'pixels. Rename one of them, so that it is clear which is meant.')
        if (same)
            return same[0]
        Map broken = named.find { it.error }
        if (broken)
            throw new HistDistProblem("The server can't read ${name}: ${broken.error}")
        if (named)
            throw new HistDistProblem("The server's ${name} has ${sizeOf(named[0])} pixels, the open image " +
                    "${width}×${height}. It has to be the same file, neither cropped nor rotated.")
        return null
    }

    static String sizeOf(Map slide) { "${slide.width as long}×${slide.height as long}" }

    /** Sends a file that the server doesn't have. It is a slide of this user alone, until it expires or is deleted. */
    Map upload(Path file, String name, double mpp) {
        String query = 'uploads?name=' + encoded(name) + (mpp > 0 ? '&mpp=' + mpp : '')
        json(request(query).timeout(Duration.ofHours(1)).header('Content-Type', 'application/octet-stream')
                .POST(BodyPublishers.ofFile(file))) as Map
    }

    void deleteUpload(String slide) { nothing(request("uploads/${slide}").DELETE()) }

    /**
     * Starts a job. Geometries are GeoJSON in pixels of the full resolution, as maps. Nothing else of the annotations
     * is sent: neither names nor classes. The key makes sure that a request that is repeated starts one job, not two.
     */
    Map start(String slide, String model, String preset, boolean tissueOnly, List<Map> geometries, String key) {
        List<Map> features = geometries.collect {
            [type: 'Feature', geometry: it, properties: [objectType: 'annotation']] as Map
        }
        Map body = [
            slide: slide, model: model, preset: preset, seed: 0, tissue: tissueOnly ? 'auto' : 'all', outside: 'white',
            annotations: [type: 'FeatureCollection', features: features],
        ]
        json(request('jobs').header('Content-Type', 'application/json').header('Idempotency-Key', key)
                .POST(BodyPublishers.ofString(gson.toJson(body)))) as Map
    }

    Map job(String id) { json(request("jobs/${id}").GET()) as Map }

    /** Cancels a job that waits or runs, or deletes one that has ended with its results. */
    void delete(String id) { nothing(request("jobs/${id}").DELETE()) }

    /**
     * Waits for the end of a job, asking once a second. A server that is restarted is waited for, because it goes on
     * with its jobs. observe is called with the job, or with null while the server doesn't answer; when it returns
     * false, the job is cancelled.
     */
    Map await(String id, Closure<Boolean> observe) {
        long reached = System.nanoTime()
        while (true) {
            Map now = null
            try {
                now = job(id)
                reached = System.nanoTime()
            } catch (IOException e) {
                if (System.nanoTime() - reached > PATIENCE.toNanos())
                    throw e
            } catch (HistDistProblem e) {
                boolean proxy = e.status in [502, 503, 504]
                if (!proxy || System.nanoTime() - reached > PATIENCE.toNanos())
                    throw e
            }
            if (now && now.state in ENDED)
                return now
            if (!observe(now)) {
                delete(id)
                throw new CancellationException()
            }
            Thread.sleep(1000)
        }
    }

    Map measurements(Map job) { json(request((job.results as Map).measurements as String).GET()) as Map }

    /** Writes a result to a file, which appears when it is whole. observe is called with the bytes so far. */
    void download(String url, Path target, Closure<Boolean> observe) {
        Path part = target.resolveSibling(target.fileName.toString() + '.part')
        try {
            send(request(url).GET()).body().withCloseable { InputStream from ->
                Files.newOutputStream(part).withCloseable { OutputStream to ->
                    byte[] buffer = new byte[1 << 16]
                    long sum = 0
                    for (int n = from.read(buffer); n >= 0; n = from.read(buffer)) {
                        to.write(buffer, 0, n)
                        sum += n
                        if (!observe(sum))
                            throw new CancellationException()
                    }
                }
            }
            Files.move(part, target, StandardCopyOption.REPLACE_EXISTING)
        } finally {
            Files.deleteIfExists(part)
        }
    }

    /** The measurements of a job under the names that they get in QuPath's tables. */
    static Map<String, Double> named(Map measurements, String marker) {
        String stain = marker ? "Virtual ${marker}: " : 'Virtual stain: '
        Map<String, Double> all = [:]
        def put = { String name, Object value, double factor ->
            if (value != null)
                all[stain + name] = (value as double) * factor
        }
        put('DAB-positive area %', measurements.dab_positive_share, 100)
        put('H-score', measurements.h_score, 1)
        put('Ki67 index %', measurements.ki67_index, 1)
        put('positive nuclei %', measurements.positive_share_nuclei, 100)
        put('nuclei', measurements.nuclei, 1)
        put('area mm^2', measurements.area_mm2, 1)
        return all
    }

    /** A request of a path below api/v1, or of an address that the server gave: absolute, without a proxy's path. */
    private HttpRequest.Builder request(String path) {
        HttpRequest.Builder one = HttpRequest.newBuilder(api.resolve(path.replaceFirst('^/api/v1/', '')))
                .timeout(Duration.ofMinutes(2)).header('Accept', 'application/json, application/problem+json, */*')
        if (token)
            one.header('Authorization', 'Bearer ' + token)
        return one
    }

    private HttpResponse<InputStream> send(HttpRequest.Builder request) {
        HttpResponse<InputStream> answer = http.send(request.build(), BodyHandlers.ofInputStream())
        if (answer.statusCode() in 200..299)
            return answer
        String text = answer.body().withCloseable { new String(it.readNBytes(1 << 20), StandardCharsets.UTF_8) }
        throw problem(answer.statusCode(), text, answer.headers().firstValue('Retry-After').orElse(''))
    }

    private Object json(HttpRequest.Builder request) {
        String text = send(request).body().withCloseable { new String(it.readAllBytes(), StandardCharsets.UTF_8) }
        try {
            return gson.fromJson(text, Object)
        } catch (JsonParseException ignored) {
            throw new HistDistProblem('At this address is something else than a server of HistDiST.')
        }
    }

    private void nothing(HttpRequest.Builder request) { send(request).body().close() }

    /** Why a request was refused, as RFC 9457 has it; a proxy's answers have only a status. */
    private HistDistProblem problem(int status, String text, String retry) {
        Map body = [:]
        try {
            Object parsed = gson.fromJson(text, Object)
            if (parsed instanceof Map)
                body = parsed
        } catch (JsonParseException ignored) {
            // the status has to do
        }
        String detail = body.detail ?: "status ${status}"
        if (status == 404 && !body.detail)
            detail = 'there is no server of HistDiST at this address'
        if (status == 401)
            detail = token ? 'the server does not know this token' : 'the server asks for a token'
        String id = body.request_id ? " (request ${body.request_id} in its log)" : ''
        int later = retry.isInteger() ? retry as int : 0
        if (later > 0)
            detail += ", try again in ${Math.max(1, Math.round(later / 60f))} min"
        return new HistDistProblem("The server refused this: ${detail}${id}", status)
    }

    private static String encoded(String text) { URLEncoder.encode(text, StandardCharsets.UTF_8).replace('+', '%20') }
}

// ---- QuPath: from here on ----

import java.awt.image.BufferedImage
import java.util.concurrent.Callable
import java.util.concurrent.FutureTask
import java.util.concurrent.atomic.AtomicBoolean
import javafx.application.Platform
import javafx.beans.property.BooleanProperty
import javafx.beans.property.StringProperty
import javafx.collections.FXCollections
import javafx.scene.Node
import javafx.scene.control.Alert
import javafx.scene.control.Button
import javafx.scene.control.ButtonType
import javafx.scene.control.CheckBox
import javafx.scene.control.ComboBox
import javafx.scene.control.Dialog
import javafx.scene.control.Label
import javafx.scene.control.PasswordField
import javafx.scene.control.ProgressBar
import javafx.scene.control.TextField
import javafx.scene.layout.GridPane
import javafx.scene.layout.VBox
import javafx.stage.Modality
import javafx.stage.Window
import qupath.lib.gui.QuPathGUI
import qupath.lib.gui.prefs.PathPrefs
import qupath.lib.images.ImageData
import qupath.lib.images.servers.ImageServer
import qupath.lib.images.servers.ImageServers
import qupath.lib.io.GsonTools
import qupath.lib.io.PathIO
import qupath.lib.objects.PathObject
import qupath.lib.objects.PathObjects
import qupath.lib.objects.classes.PathClass
import qupath.lib.projects.Project
import qupath.lib.projects.ProjectImageEntry
import qupath.lib.scripting.QP

/** What the user chose. */
class Choice {
    HistDistClient client
    Map model
    String preset
    boolean tissueOnly
    boolean open
}

/** Calls a task on JavaFX's thread, where windows live, and waits for its result. */
class Fx {
    static <T> T call(Callable<T> task) {
        if (Platform.isFxApplicationThread())
            return task.call()
        FutureTask<T> later = new FutureTask<T>(task)
        Platform.runLater(later)
        return later.get()
    }

    static void show(Alert.AlertType type, Window owner, String text) {
        call {
            Alert alert = new Alert(type, text, ButtonType.OK)
            alert.title = 'HistDiST'
            alert.headerText = null
            alert.initOwner(owner)
            alert.dialogPane.minHeight = -Double.MAX_VALUE // USE_PREF_SIZE: long texts are not cut off
            alert.showAndWait()
        }
    }

    static boolean confirm(Window owner, String text) {
        call {
            Alert alert = new Alert(Alert.AlertType.CONFIRMATION, text, ButtonType.YES, ButtonType.NO)
            alert.title = 'HistDiST'
            alert.headerText = null
            alert.initOwner(owner)
            alert.showAndWait().orElse(ButtonType.NO) == ButtonType.YES
        } as boolean
    }
}

/** Asks for the server, the marker and the preset, and remembers them among QuPath's preferences. */
class ChoiceDialog {
    private static final String ADDRESS = 'http://127.0.0.1:8080' // of histdist serve without options

    private final StringProperty address = PathPrefs.createPersistentPreference('histdistAddress', ADDRESS)
    private final StringProperty token = PathPrefs.createPersistentPreference('histdistToken', '')
    private final BooleanProperty keepToken = PathPrefs.createPersistentPreference('histdistKeepToken', false)
    private final StringProperty modelId = PathPrefs.createPersistentPreference('histdistModel', '')
    private final StringProperty presetName = PathPrefs.createPersistentPreference('histdistPreset', '')
    private final BooleanProperty tissueOnly = PathPrefs.createPersistentPreference('histdistTissueOnly', true)
    private final BooleanProperty open = PathPrefs.createPersistentPreference('histdistOpen', true)

    private final TextField addressField = new TextField(address.get())
    private final PasswordField tokenField = new PasswordField()
    private final CheckBox keepTokenBox = new CheckBox('Remember the token, unencrypted')
    private final Button connect = new Button('Connect')
    private final Label status = new Label()
    private final ComboBox<String> models = new ComboBox<>()
    private final ComboBox<String> presets = new ComboBox<>()
    private final CheckBox tissueBox = new CheckBox('Only the tissue in the annotations')
    private final CheckBox openBox = new CheckBox('Open the stain when it is done')
    private final Dialog<ButtonType> dialog = new Dialog<>()

    private HistDistClient client
    private List<Map> known = []

    /** The choice, null if the user cancels. */
    Choice ask(Window owner, int annotations) {
        tokenField.text = token.get()
        keepTokenBox.selected = keepToken.get()
        tissueBox.selected = tissueOnly.get()
        openBox.selected = open.get()
        models.maxWidth = presets.maxWidth = Double.MAX_VALUE
        status.wrapText = true
        status.prefWidth = 380
        connect.onAction = { fetch() }
        models.onAction = { showPresets() }

        GridPane grid = new GridPane()
        grid.hgap = grid.vgap = 6
        List<List<Node>> rows = [ // a label, what it is for, and what is next to it
            [new Label('Server'), addressField, connect], [new Label('Token'), tokenField], [new Label(), keepTokenBox],
            [new Label('Stain'), models], [new Label('Preset'), presets],
            [new Label(), tissueBox], [new Label(), openBox], [new Label(), status],
        ] as List<List<Node>>
        rows.eachWithIndex { List<Node> row, int y -> row.eachWithIndex { Node node, int x -> grid.add(node, x, y) } }
        addressField.prefColumnCount = 28

        dialog.title = 'HistDiST: virtual stain'
        String what = annotations == 1 ? 'The selected annotation is' : "The ${annotations} selected annotations are"
        dialog.headerText = what + ' translated.\nFor research only: not for diagnosis.'
        dialog.initOwner(owner)
        dialog.dialogPane.content = grid
        dialog.dialogPane.buttonTypes.setAll(ButtonType.OK, ButtonType.CANCEL)
        Node ok = dialog.dialogPane.lookupButton(ButtonType.OK)
        ok.disableProperty().bind(presets.valueProperty().isNull())
        fetch()
        if (dialog.showAndWait().orElse(ButtonType.CANCEL) != ButtonType.OK)
            return null

        Map model = chosen()
        address.set(addressField.text)
        keepToken.set(keepTokenBox.selected)
        token.set(keepTokenBox.selected ? tokenField.text : '')
        modelId.set(model.id as String)
        presetName.set(presets.value)
        tissueOnly.set(tissueBox.selected)
        open.set(openBox.selected)
        return new Choice(client: client, model: model, preset: presets.value, tissueOnly: tissueBox.selected,
                open: openBox.selected)
    }

    /** Asks the server for its models, on another thread so that the window stays alive. */
    private void fetch() {
        String typed = addressField.text
        String secret = tokenField.text
        connect.disable = true
        models.items = FXCollections.observableArrayList()
        presets.items = FXCollections.observableArrayList()
        status.text = 'Connecting …'
        Thread thread = new Thread({
            HistDistClient asked = null
            List<Map> found = []
            String problem = ''
            try {
                asked = new HistDistClient(typed, secret)
                found = asked.models()
                if (!found)
                    problem = 'The server has no models.'
            } catch (HistDistProblem e) {
                problem = e.message
            } catch (IOException e) {
                problem = "No server answers at ${typed}: start one with histdist serve. (${e.class.simpleName})"
            }
            Platform.runLater {
                connect.disable = false
                status.text = problem
                client = asked
                known = found
                models.items = FXCollections.observableArrayList(found.collect { label(it) })
                if (found) {
                    Map before = found.find { it.id == modelId.get() } ?: found[0]
                    models.value = label(before)
                    showPresets()
                }
            }
        } as Runnable, 'histdist')
        thread.daemon = true
        thread.start()
    }

    private static String label(Map model) { model.marker ? "${model.marker} (${model.name})" : model.name as String }

    private Map chosen() { known.find { label(it) == models.value } }

    private void showPresets() {
        Map model = chosen()
        List<String> names = model ? (model.presets as List<Map>).collect { it.name as String } : []
        presets.items = FXCollections.observableArrayList(names)
        presets.value = names.find { it == presetName.get() } ?: (model?.default_preset as String)
    }
}

/** A small window with a bar, and a button that cancels. */
class ProgressWindow {
    private final AtomicBoolean cancelled = new AtomicBoolean()
    private final ProgressBar bar = new ProgressBar(-1)
    private final Label label = new Label('Starting …')
    private final Dialog<ButtonType> dialog

    ProgressWindow(Window owner) {
        dialog = Fx.call { new Dialog<ButtonType>() }
        Fx.call {
            bar.prefWidth = 400
            dialog.title = 'HistDiST: virtual stain'
            dialog.initOwner(owner)
            dialog.initModality(Modality.NONE) // QuPath stays usable
            dialog.dialogPane.content = new VBox(8, label, bar)
            dialog.dialogPane.buttonTypes.setAll(ButtonType.CANCEL)
            dialog.onHidden = { cancelled.set(true) }
            dialog.show()
            return null
        }
    }

    /** Shows a part of 1, -1 if it is unknown. It returns whether to go on. */
    boolean show(String text, double part) {
        Platform.runLater {
            label.text = text
            bar.progress = part
        }
        return !cancelled.get()
    }

    void close() { Fx.call { dialog.close() } }
}

/** From the selected annotations to a new image of the project. */
class VirtualStain {
    private final QuPathGUI gui = QuPathGUI.instance
    private final Project<BufferedImage> project = QP.project
    private final ImageData<BufferedImage> image = QP.currentImageData
    private final Window owner = gui?.stage

    void run() {
        try {
            translate()
        } catch (CancellationException | InterruptedException ignored) {
            // as the user wished
        } catch (HistDistProblem e) {
            Fx.show(Alert.AlertType.ERROR, owner, e.message)
        } catch (IOException e) {
            String text = "The server does not answer, or a file can't be written: ${e.message ?: e}"
            Fx.show(Alert.AlertType.ERROR, owner, text)
        }
    }

    private void translate() {
        if (project == null || image == null)
            throw new HistDistProblem('Open a project and an image first: the stain becomes an image of the project.')
        List<PathObject> annotations = image.hierarchy.selectionModel.selectedObjects
                .findAll { it.annotation && it.ROI?.area } as List<PathObject>
        if (!annotations)
            throw new HistDistProblem('Select one or more annotations that are areas, then run this again.')
        Choice choice = Fx.call { new ChoiceDialog().ask(owner, annotations.size()) }
        if (choice == null)
            return
        ProgressWindow progress = new ProgressWindow(owner)
        try {
            ProjectImageEntry<BufferedImage> entry = stain(choice, annotations, progress)
            Platform.runLater {
                gui.refreshProject()
                if (choice.open)
                    gui.openImageEntry(entry)
            }
        } finally {
            progress.close()
        }
    }

    /** Has the annotations translated, and adds the stain to the project. */
    private ProjectImageEntry<BufferedImage> stain(Choice choice, List<PathObject> annotations,
                                                   ProgressWindow progress) {
        ImageServer<BufferedImage> he = image.server
        HistDistClient client = choice.client
        Path file = fileOf(he)
        String name = file.fileName.toString()
        progress.show("Looking for ${name} on the server …", -1)
        Map slide = client.findSlide(name, he.width, he.height)
        boolean uploaded = slide == null
        if (uploaded)
            slide = upload(client, file, name, he, progress)
        Map job = null
        boolean ended = false
        try {
            Gson gson = GsonTools.instance
            List<Map> geometries = annotations.collect { gson.fromJson(gson.toJson(it.ROI), Map) as Map }
            String key = UUID.randomUUID().toString()
            job = client.start(slide.id as String, choice.model.id as String, choice.preset, choice.tissueOnly,
                    geometries, key)
            job = client.await(job.id as String) { Map now -> progress.show(stateOf(now), partOf(now)) }
            ended = true
            if (job.state == 'failed')
                throw new HistDistProblem("The translation failed: ${job.error}")
            if (job.state == 'cancelled')
                throw new HistDistProblem('The job was cancelled on the server.')
            return add(client, job, annotations, progress)
        } finally {
            if (job && !ended)
                quietly { client.delete(job.id as String) }
            if (uploaded)
                quietly { client.deleteUpload(slide.id as String) }
        }
    }

    /** The file of the open image. */
    private static Path fileOf(ImageServer<BufferedImage> server) {
        URI uri = server.URIs ? server.URIs[0] : null
        if (uri?.scheme != 'file')
            throw new HistDistProblem('The open image is not a file: the server could not find it among its slides.')
        return Path.of(new URI('file', null, uri.path, null))
    }

    /** Offers to send a slide that the server doesn't have. Whole slides are better put into its folder. */
    private Map upload(HistDistClient client, Path file, String name, ImageServer<BufferedImage> he,
                       ProgressWindow progress) {
        String missing = "The server has no slide named ${name} with ${he.width}×${he.height} pixels."
        long size = Files.size(file)
        if (size > HistDistClient.LARGEST_UPLOAD)
            throw new HistDistProblem("${missing} Put the file into one of the folders that the server was started " +
                    "with (histdist serve --slides FOLDER): its ${size >> 20} MB are too many to be sent from here.")
        String question = "Send it (${Math.max(1L, size >> 20)} MB)? The server deletes it when the stain is done."
        if (!Fx.confirm(owner, missing + '\n\n' + question))
            throw new CancellationException()
        progress.show("Sending ${name} …", -1)
        double mpp = he.pixelCalibration.hasPixelSizeMicrons() ? he.pixelCalibration.averagedPixelSizeMicrons : 0
        Map slide = client.upload(file, name, mpp)
        if (slide.width == he.width && slide.height == he.height)
            return slide
        quietly { client.deleteUpload(slide.id as String) }
        throw new HistDistProblem("The server reads ${name} with ${HistDistClient.sizeOf(slide)} pixels, QuPath with " +
                "${he.width}×${he.height}: the stain would not fit.")
    }

    /** Downloads a stain and makes it an image of the project, with what was translated and what was measured. */
    private ProjectImageEntry<BufferedImage> add(HistDistClient client, Map job, List<PathObject> annotations,
                                                 ProgressWindow progress) {
        ImageServer<BufferedImage> he = image.server
        Map results = job.results as Map
        String marker = (job.marker ?: job.model) as String
        Path folder = Files.createDirectories(project.path.parent.resolve('histdist'))
        String title = "${QP.getProjectEntry()?.imageName ?: fileOf(he).fileName} - virtual ${marker}"
        String base = title.replaceAll('[^\\p{L}\\p{N} ._-]', '_') + '-' + (job.id as String)
        Path tiff = folder.resolve(base + '.ome.tiff')
        Path areas = folder.resolve(base + '.geojson')
        client.download(results.ome_tiff as String, tiff) { long bytes ->
            progress.show("Downloading: ${bytes >> 20} MB …", -1)
        }
        client.download(results.geojson as String, areas) { true }
        client.download(results.provenance as String, folder.resolve(base + '.provenance.json')) { true }
        Map<String, Double> measured = [:]
        if (results.measurements)
            measured = HistDistClient.named(client.measurements(job), marker)

        ProjectImageEntry<BufferedImage> entry
        ImageServer<BufferedImage> stained = ImageServers.buildServer(tiff.toUri())
        try {
            if (stained.width != he.width || stained.height != he.height)
                throw new HistDistProblem("The stain has ${stained.width}×${stained.height} pixels, the slide " +
                        "${he.width}×${he.height}: it is not aligned with it. It is in ${tiff}.")
            entry = project.addImage(stained.builder)
            entry.imageName = title
            entry.description = 'Virtual stain by HistDiST. For research only: not for diagnosis.'
            double downsample = Math.max(1d, Math.max(he.width / 1000d, he.height / 600d))
            entry.thumbnail = stained.readRegion(downsample, 0, 0, stained.width, stained.height)
        } finally {
            stained.close()
        }
        Map<String, Object> origin = [
            stain: 'virtual, by HistDiST', marker: marker, model: job.model, preset: job.preset, job: job.id,
        ]
        origin.each { key, value ->
            entry.putMetadataValue(key as String, value as String)
        }

        List<PathObject> there = PathIO.readObjects(areas).collect { PathObject area ->
            PathClass kind = PathClass.fromString("Virtual ${marker}".toString())
            PathObject one = PathObjects.createAnnotationObject(area.ROI, kind)
            one.name = 'translated'
            one.locked = true
            measured.each { name, value -> one.measurementList.put(name, value) }
            return one
        }
        there += annotations.collect { PathObject one ->
            PathObject copy = PathObjects.createAnnotationObject(one.ROI, one.pathClass)
            copy.name = one.name
            if (annotations.size() == 1)
                measured.each { name, value -> copy.measurementList.put(name, value) }
            return copy
        }
        ImageData<BufferedImage> data = entry.readImageData()
        data.imageType = ImageData.ImageType.BRIGHTFIELD_H_DAB
        data.hierarchy.addObjects(there)
        entry.saveImageData(data)
        data.server.close()
        project.syncChanges()

        if (annotations.size() == 1) { // of several, the numbers are of all together: they are with the stain only
            Fx.call {
                measured.each { name, value -> annotations[0].measurementList.put(name, value) }
                image.hierarchy.fireObjectMeasurementsChangedEvent(this, annotations)
                return null
            }
        }
        return entry
    }

    private static double partOf(Map job) {
        Map progress = job?.progress as Map
        return progress?.of ? (progress.calls as double) / (progress.of as double) : -1
    }

    private static String stateOf(Map job) {
        if (job == null)
            return 'The server does not answer; waiting for it …'
        if (job.state == 'queued')
            return job.position ? "Waiting, number ${job.position as long} in the queue …" : 'Waiting …'
        Map progress = job.progress as Map
        if (progress?.seconds_left == null)
            return 'Translating …'
        long seconds = Math.round(progress.seconds_left as double)
        return 'Translating, ' + (seconds < 90 ? "${seconds} s left" : "${Math.round(seconds / 60d)} min left")
    }

    /** Tidies up on the way out: what went wrong before is what the user has to know. */
    private static void quietly(Closure<?> task) {
        try {
            task()
        } catch (IOException | HistDistProblem ignored) {
            // the server deletes it by itself in time
        }
    }
}

VirtualStain virtualStain = new VirtualStain()
if (Platform.isFxApplicationThread())
    new Thread({ virtualStain.run() } as Runnable, 'histdist').start() // it waits for a long time
else
    virtualStain.run()
