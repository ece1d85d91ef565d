import java.io.FileOutputStream;
import loci.common.DebugTools;
import loci.common.services.ServiceFactory;
import loci.formats.ImageReader;
import loci.formats.ome.OMEXMLMetadata;
import loci.formats.services.OMEXMLService;

/** Writes each resolution of a file as Bio-Formats reads it, RGB [h,w,3], to FOLDER/N.rgb, and prints its size. */
public class ReadTIFF {
    public static void main(String[] args) throws Exception {
        DebugTools.setRootLevel("OFF");
        try (ImageReader reader = new ImageReader()) {
            reader.setFlattenedResolutions(false);
            OMEXMLMetadata meta = new ServiceFactory().getInstance(OMEXMLService.class).createOMEXMLMetadata();
            reader.setMetadataStore(meta);
            reader.setId(args[0]);
            System.out.println(reader.getFormat() + "\t" + reader.getSeriesCount() + "\t"
                + meta.getPixelsPhysicalSizeX(0).value() + "\t" + meta.getImageName(0));
            for (int level = 0; level < reader.getResolutionCount(); level++) {
                reader.setResolution(level);
                int n = reader.getSizeX() * reader.getSizeY();
                byte[] in = reader.openBytes(0), out = new byte[3 * n];
                for (int i = 0; i < n; i++)
                    for (int c = 0; c < 3; c++)
                        out[3 * i + c] = reader.isInterleaved() ? in[3 * i + c] : in[c * n + i];
                try (FileOutputStream file = new FileOutputStream(args[1] + "/" + level + ".rgb")) {
                    file.write(out);
                }
                System.out.println(reader.getSizeX() + "\t" + reader.getSizeY());
            }
        }
    }
}
